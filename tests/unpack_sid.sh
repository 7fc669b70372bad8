#!/usr/bin/env bash
# unpack_sid.sh PACKAGE DIR: unpacks Debian unstable's PACKAGE into DIR, without installing it.
#
# The source list is this machine's own with the suite name changed, so no host is named here. Says
# plainly what it does; ends with 1 and one line if unstable cannot be had.
set -euo pipefail
package=$1 dir=$2
if compgen -G "$dir/usr/bin/*" >/dev/null; then
  "$dir/usr/bin/$package" --version 2>&1 | head -n 1
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/parts"

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
# Deb822 or one-line sources: keep the entries of the plain suite, ask for sid instead.
for file in /etc/apt/sources.list.d/*.sources; do
  [ -e "$file" ] || continue
  awk -v suite="$suite" 'BEGIN { RS=""; ORS="\n\n" } $0 ~ "Suites:[^\n]*" suite "([ \n]|$)" {
    gsub("Suites:[^\n]*", "Suites: sid"); print }' "$file" >"$work/parts/$(basename "$file")"
done
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -e "$file" ] || continue
  awk -v suite="$suite" '$1 == "deb" { for (i = 2; i <= NF; i++) if ($i == suite) { $i = "sid"; print; next } }' \
    "$file" >"$work/parts/$(basename "$file")"
done
find "$work/parts" -empty -delete
options=(-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$work/parts"
  -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o APT::Get::List-Cleanup=0)
if ! apt-get "${options[@]}" update -q >"$work/log" 2>&1; then
  echo "no unstable suite from this machine's apt sources: $package of sid is left out" >&2
  exit 1
fi
cd "$work"
if ! apt-get "${options[@]}" download "$package" >>"$work/log" 2>&1; then
  echo "unstable has no package $package: left out" >&2
  exit 1
fi
mkdir -p "$dir"
dpkg-deb -x "$work"/"$package"_*.deb "$dir"
echo "unpacked $(basename "$work"/"$package"_*.deb)"
"$dir/usr/bin/$package" --version 2>&1 | head -n 1
