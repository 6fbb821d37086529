#!/usr/bin/env bash
# The examples that talk to a child: each to a child of each other language.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$(cd "${GIPC_TEST_BUILD:-$top/build/linux}" && pwd)
version=5.4

export PYTHONPATH=$build/python PYTHONDONTWRITEBYTECODE=1
export RUBYLIB=$top/bindings/ruby/lib:$build/ruby
# Where lua-messagepack has no copy for this Lua, that of 5.3 is the same.
export LUA_PATH="$top/bindings/lua/?.lua;;;/usr/share/lua/5.3/?.lua"
export LUA_CPATH="$build/lua/$version/?.so;;"

python=("${PYTHON:-/usr/bin/python3}" "$here/python/talk_to_child.py")
ruby=("${RUBY:-ruby}" "$here/ruby/talk_to_child.rb")
lua=("lua$version" "$here/lua/talk_to_child.lua")

# Where one is not built, the others have enough to say.
there=()
"${python[0]}" -c "import gipc, msgpack" 2>/dev/null && there+=(python)
"${ruby[0]}" -e 'require "gipc"; require "msgpack"' 2>/dev/null && there+=(ruby)
"${lua[0]}" -e 'require "gipc"; require "MessagePack"' 2>/dev/null && there+=(lua)
[ ${#there[@]} -gt 1 ] || {
  echo "fewer than two languages are built"
  exit 77
}

for parent in "${there[@]}"; do
  for child in "${there[@]}"; do
    declare -n run=$parent other=$child
    echo "$parent, $child"
    timeout 120 "${run[@]}" "${other[@]}" child |
      diff "$here/$parent/talk_to_child.expected" -
  done
done
