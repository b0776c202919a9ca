#!/bin/sh
# Makes the base image of this example: Debian with Python, out of packages.
#   usage: base.sh ARCHIVE.tar      then: docker import ARCHIVE.tar debian:bookworm
# Needs root, debootstrap and a Debian mirror (debootstrap knows one; DEBIAN_MIRROR names another).
set -eu
out=$(realpath "${1:?usage: base.sh ARCHIVE.tar}")
command -v debootstrap >/dev/null || { echo "base.sh: debootstrap is not installed" >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv \
    bookworm "$work/root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >&2
# What only debootstrap itself needed.
rm -rf "$work/root/var/cache/apt/archives" "$work/root/var/lib/apt/lists" "$work/root/var/log"
mkdir -p "$work/root/var/cache/apt/archives/partial" "$work/root/var/lib/apt/lists/partial" \
    "$work/root/var/log"
rm -f "$work/root/etc/resolv.conf" "$work/root/etc/hostname"
tar --numeric-owner -C "$work/root" -cf "$out" .
