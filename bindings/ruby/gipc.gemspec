# frozen_string_literal: true

# The gem: the Ruby layer, what SWIG makes of the interface, and the C++ core,
# which is compiled where no libgipc is installed.  `gem build` takes the last two
# from the rest of the repository, into ext/gipc/core and ext/gipc/native_wrap.c.

require "fileutils"

root = File.expand_path("../..", __dir__)
Dir.chdir(__dir__) do
  core = "ext/gipc/core"
  FileUtils.rm_rf(core)
  FileUtils.mkdir_p(["#{core}/include", "#{core}/src"])
  FileUtils.cp("#{root}/include/gipc.h", "#{core}/include")
  FileUtils.cp(Dir["#{root}/src/*.{h,cc}"], "#{core}/src")
  FileUtils.cp("#{root}/LICENSE", ".")
  swig = ENV.fetch("SWIG", "swig")
  system(swig, "-ruby", "-I#{root}/include", "-I#{root}/bindings", "-Iext/gipc",
         "-o", "ext/gipc/native_wrap.c", "ext/gipc/native.i") ||
    abort("gipc: the gem is built with #{swig}, which is missing or failed")
end

Gem::Specification.new do |spec|
  spec.name = "gipc"
  spec.version = File.read("#{root}/include/gipc.h")
                     .scan(/define GIPC_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)/).join(".")
  spec.summary = "Child processes and framed message pipes for event-driven programs"
  spec.description = "Starts children that begin clean, also from inside a " \
                     "reactor, and carries whole messages between them: at home " \
                     "under any Fiber::Scheduler, and without one."
  spec.authors = ["The libgipc authors"]
  spec.license = "MIT"
  spec.required_ruby_version = ">= 3.1"
  spec.files = Dir.chdir(__dir__) do
    Dir["lib/**/*.rb", "sig/*.rbs", "ext/gipc/{extconf.rb,native_wrap.c}",
        "ext/gipc/core/**/*.{h,cc}", "ext/{loader,preload}/*.{rb,c}", "README.md", "LICENSE"]
  end
  spec.extensions = %w[gipc loader preload].map { |name| "ext/#{name}/extconf.rb" }
  spec.extra_rdoc_files = %w[README.md LICENSE]
  spec.requirements = ["a C++ compiler and make", "libev 4 with its header, or libgipc"]
  spec.metadata = {"rubygems_mfa_required" => "true"}
  # Where the project is published, as whoever publishes it says: pkgconfig/dist.
  if (homepage = ENV.fetch("HOMEPAGE", "")) != ""
    spec.homepage = homepage
    spec.metadata["source_code_uri"] = homepage
  end
end
