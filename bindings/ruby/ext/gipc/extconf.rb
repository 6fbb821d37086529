# frozen_string_literal: true

# Compiles gipc/native: with an installed libgipc of this version where pkg-config
# finds one, otherwise with the C++ core that the gem carries.
#   gem install gipc -- --enable-bundled    the gem's own core in any case
#   gem install gipc -- --with-os=posix     its portable half
require "rbconfig"

def give_up(missing)
  abort <<~HELP
    gipc: it cannot be compiled here: #{missing}.  What it needs:
      Debian, Ubuntu   apt install g++ make ruby-dev libev-dev
      Fedora           dnf install gcc-c++ make ruby-devel libev-devel
      Alpine           apk add g++ make ruby-dev libev-dev
    A gem for your platform needs none of them, where there is one.
  HELP
end

def program?(command)
  name = command.to_s[/\S+/].to_s
  ENV["PATH"].split(":").any? { |folder| File.executable?(File.expand_path(name, folder)) }
end

# Before mkmf, which says less.
give_up("no ruby.h") unless File.exist?("#{RbConfig::CONFIG["rubyhdrdir"]}/ruby.h")
give_up("no C compiler") unless program?(RbConfig::CONFIG["CC"])
give_up("no C++ compiler") unless program?(RbConfig::CONFIG["CXX"])
give_up("no make") unless program?(ENV["MAKE"] || ENV["make"] || "make")

require "mkmf"

here = __dir__
version = File.read("#{here}/core/include/gipc.h")
              .scan(/define GIPC_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)/).join(".")

def installed?(version)
  return false if enable_config("bundled", false)

  found = pkg_config("gipc", "modversion")
  # Before 1.0 a minor version may change anything.
  found && found.split(".").first(2) == version.split(".").first(2) && pkg_config("gipc")
end

if installed?(version)
  abort "gipc: libgipc is there, but not its gipc.h" unless have_header("gipc.h")
else
  give_up("no header of libev (ev.h)") unless have_header("ev.h")
  give_up("no library libev") unless have_library("ev", "ev_loop_new", "ev.h")
  os = with_config("os", RUBY_PLATFORM.include?("linux") ? "linux" : "posix")
  core = Dir["#{here}/core/src/*.cc"].map { |file| File.basename(file) }
  $srcs = ["native_wrap.c"] + core.grep_v(/\Aos_(?!common|#{os})/)
  $VPATH << "$(srcdir)/core/src"
  $INCFLAGS = "-I$(srcdir)/core/include #{$INCFLAGS}"
  $CXXFLAGS << " -std=c++17 -fno-rtti -fvisibility=hidden -fvisibility-inlines-hidden"
  # Its functions are for this module only.
  $defs.push("-DGIPC_API=", "-DNDEBUG", "-D_FILE_OFFSET_BITS=64")
end
# What SWIG writes is not ours to warn of.
$CFLAGS << " -fvisibility=hidden -w"

# -fvisibility=hidden leaves weak symbols of the C++ library.
File.write("exports.map", "{ global: Init_native; local: *; };\n")
script = "-Wl,--version-script=#{Dir.pwd}/exports.map"
$DLDFLAGS << " #{script}" if try_ldflags(script)

create_makefile("gipc/native")
