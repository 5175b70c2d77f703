#!/usr/bin/env bash
# backport.sh FOLDER: unpacks the newer systemd of this release's backports there. Installs nothing; the machine's sources of
# packages stay as they are.
set -euo pipefail
folder=$1
scratch=$(mktemp -d)
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$scratch/lists/partial" "$scratch/archives/partial" "$scratch/packages" "$scratch/tree"
# shellcheck disable=SC1091
. /etc/os-release
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
[ -n "$mirror" ]
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $VERSION_CODENAME-backports main" >"$scratch/sources"
options=(-q -o "Dir::Etc::sourcelist=$scratch/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$scratch/lists"
  -o "Dir::Cache=$scratch" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update >/dev/null
cd "$scratch/packages"
for package in systemd libsystemd-shared libsystemd0; do
  apt-get "${options[@]}" download "$package/$VERSION_CODENAME-backports" >/dev/null
done
for package in ./*.deb; do dpkg -x "$package" "$scratch/tree"; done
cd "$scratch/tree"
# Where /lib is a link to /usr/lib, a folder of that name in an upper layer would hide all that is in it.
for name in lib bin sbin; do
  { [ -d "$name" ] && [ ! -L "$name" ]; } || continue
  mkdir -p "usr/$name"
  cp -a "$name/." "usr/$name/"
  rm -rf "$name"
done
rm -rf etc var
# Complete, then renamed: whoever looks sees all of it or nothing.
mkdir -p "$(dirname "$folder")"
cp -a "$scratch/tree" "$folder.$$"
mv -T "$folder.$$" "$folder" 2>/dev/null || rm -rf "$folder.$$"
