# frozen_string_literal: true

# The gem is built from a clean tree, installed, and used.

require "fileutils"
require "tmpdir"

class GemTest < GipcTest
  PROGRAM = <<~RUBY
    require "gipc"
    mine, yours = Gipc.pipe(duplex: true)
    child = Gipc.start_process(yours) { |h| h.each { |n| h << n + 1 } }
    puts mine.put(41).get, $LOADED_FEATURES.grep(/gipc.native/)
    mine.close
    exit child.join.exitcode
  RUBY

  # What is written by hand.
  FILES = %w[bindings/*.i bindings/steps.h bindings/ruby/*.{gemspec,md,mk} bindings/ruby/lib/**/*.rb
             bindings/ruby/sig/*.rbs bindings/ruby/ext/**/*.{c,h,i,rb} src/*.{cc,h,map} include/*.h LICENSE].freeze

  def test_the_gem_carries_its_core
    in_clean_tree do |tree|
      install(tree, "--enable-bundled", "--with-os=#{ENV.fetch("GIPC_TEST_OS", "linux")}")
      native = use(tree, {})
      assert_equal ["Init_native"], exports(native)
      refute_match(/libgipc/, dependencies(native))
      # Nothing of this place, nothing but what is needed.
      listed = Dir.chdir("#{tree}/gems/gems") { Dir["gipc-*/**/*"].map { |file| file.sub(/\Agipc-[^\/]*\//, "") } }
      assert_includes listed, "sig/gipc.rbs"
      assert_includes listed, "README.md"
      assert_includes listed, "LICENSE"
      assert_empty listed.grep(/\.(i|gem|gemspec|mk)\z/)
    end
  end

  def test_the_gem_finds_an_installed_library
    skip "needs pkg-config" unless system("pkg-config --version", out: File::NULL)
    in_clean_tree do |tree|
      prefix = "#{tree}/usr"
      run_in(ROOT, {}, "make", "OS=#{ENV.fetch("GIPC_TEST_OS", "linux")}", "DEPS=skip",
             "prefix=#{prefix}", "install")
      install(tree, environment: {"PKG_CONFIG_PATH" => "#{prefix}/lib/pkgconfig"})
      native = use(tree, {"LD_LIBRARY_PATH" => "#{prefix}/lib"})
      assert_match(/libgipc/, dependencies(native))
    end
  end

  private

  def in_clean_tree
    Dir.mktmpdir do |tree|
      files = Dir.chdir(ROOT) { Dir[*FILES] }
      files.each do |file|
        FileUtils.mkdir_p(File.dirname("#{tree}/#{file}"))
        FileUtils.cp("#{ROOT}/#{file}", "#{tree}/#{file}")
      end
      yield tree
    end
  end

  def install(tree, *options, environment: {})
    source = "#{tree}/bindings/ruby"
    run_in(source, {}, "gem", "build", "gipc.gemspec")
    run_in(source, environment.merge("MAKEFLAGS" => "-j2"), "gem", "install", "--local", "--no-document",
           "--install-dir", "#{tree}/gems", Dir["#{source}/gipc-*.gem"].first,
           *(["--", *options] unless options.empty?))
  end

  # The path of the native module that was used.
  def use(tree, environment)
    environment = environment.merge("GEM_PATH" => "#{tree}/gems", "RUBYLIB" => nil)
    answer, native = run_in("/", environment, RbConfig.ruby, "-e", PROGRAM).split("\n")
    assert_equal "42", answer
    assert native.start_with?("#{tree}/gems/"), native
    native
  end

  def run_in(folder, environment, *command)
    output = IO.popen([environment, *command], chdir: folder, err: %i[child out], &:read)
    assert_predicate $?, :success?, "#{command.join(" ")}\n#{output}"
    output
  end

  def exports(native)
    run_in("/", {}, "nm", "-D", "--defined-only", native).lines.map { |line| line.split.last }
  end

  def dependencies(native)
    run_in("/", {}, "readelf", "-d", native).lines.grep(/NEEDED/).join
  end
end
