# libgipc for Nix, of the sources around it: nix-build pkgconfig/nix
{ pkgs ? import <nixpkgs> { } }:

let
  top = ../..;
  # The header is the one place that says which version this is.
  lines = builtins.filter builtins.isString
    (builtins.split "\n" (builtins.readFile (top + "/include/gipc.h")));
  part = name:
    let
      found = builtins.filter (match: match != null)
        (map (builtins.match "#define GIPC_VERSION_${name} ([0-9]+)") lines);
    in
    builtins.head (builtins.head found);
in
pkgs.stdenv.mkDerivation {
  pname = "libgipc";
  version = "${part "MAJOR"}.${part "MINOR"}.${part "PATCH"}";
  src = pkgs.lib.cleanSource top;
  outputs = [ "out" "dev" "man" ];
  buildInputs = [ pkgs.libev ];
  enableParallelBuilding = true;
  makeFlags = [
    "prefix=$(out)"
    "includedir=$(dev)/include"
    "pkgconfigdir=$(dev)/lib/pkgconfig"
    "cmakedir=$(dev)/lib/cmake/gipc"
    "mandir=$(man)/share/man"
  ];
  meta = {
    description = "Child processes and framed message pipes for event-driven programs";
    license = pkgs.lib.licenses.mit;
    platforms = pkgs.lib.platforms.linux;
  };
}
