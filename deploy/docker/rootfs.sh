#!/bin/sh
# Makes the root file system of the image from a binary, with or without a container engine: what the Dockerfile copies is what
# a test can run in.
#
#   rootfs.sh <binary> <folder that is not there yet>
#
# Needs ldd, strip and the time zones of the system that the binary was built on.
set -eu

[ $# -eq 2 ] || { echo "usage: rootfs.sh <binary> <folder>" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
binary=$1
root=$2
uid=65532

fail() {
  echo "rootfs.sh: $*" >&2
  exit 1
}

[ -x "$binary" ] || fail "$binary is not an executable"
[ ! -e "$root" ] || fail "$root is there already"
zones=/usr/share/zoneinfo
[ -d "$zones/Europe" ] || fail "$zones is missing: install tzdata"

mkdir -p "$root/usr/bin" "$root/etc/forebay" "$root/tmp" "$root/var/lib/forebay" "$root/usr/share/doc/forebay"
install -m 755 "$binary" "$root/usr/bin/forebay"
# Names of functions stay, for the lines of a panic; line tables are most of the size.
strip --strip-debug "$root/usr/bin/forebay"

# The loader and the libraries, where the binary looks for them. The kernel's own (linux-vdso) is no file.
libraries=$(ldd "$binary" | awk '/=> \// { print $3 } /^[[:space:]]*\// { print $1 }')
for library in $libraries; do
  install -D -m 755 "$library" "$root$library"
done

# Without the two trees that have every zone again, with and without leap seconds.
mkdir -p "$root$zones"
(cd "$zones" && find . \( -name posix -o -name right \) -prune -o \( -type f -o -type l \) -print) |
  while read -r zone; do
    mkdir -p "$root$zones/$(dirname "$zone")"
    cp -P "$zones/$zone" "$root$zones/$zone"
  done

echo "nonroot:x:$uid:$uid:nonroot:/var/lib/forebay:/nonexistent" >"$root/etc/passwd"
echo "nonroot:x:$uid:" >"$root/etc/group"
# Names come from the file first, then from DNS.
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
cp "$here/../../LICENSE" "$root/usr/share/doc/forebay/LICENSE"
chmod 1777 "$root/tmp"
# Only root can give the folder away; elsewhere it belongs to whoever runs this.
if [ "$(id -u)" = 0 ]; then chown "$uid:$uid" "$root/var/lib/forebay"; fi

du -sk "$root" | awk '{ printf "%s: %.1f MiB\n", $2, $1 / 1024 }'
