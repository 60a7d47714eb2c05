#!/bin/sh
# Puts Debian's or Ubuntu's promtool into the folder $1, for test_rules.py: installs nothing, and need not be root.
# Where it cannot be had that is said in one line, and not tried again for a day; the tests then skip.
set -u
folder=$1
tried=$folder/.promtool-tried

if [ -x "$folder/promtool" ] || command -v promtool >/dev/null || ! command -v apt-get >/dev/null; then exit 0; fi
if [ -n "$(find "$tried" -mtime -1 2>/dev/null)" ]; then exit 0; fi
touch "$tried" || exit 0
scratch=$(mktemp -d) || exit 0
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' INT TERM
said=$scratch/said
deadline=$(($(date +%s) + 20))

# apt with a cache of its own. Root is not to become another user, who may not enter the scratch folder.
apt() {
  left_s=$((deadline - $(date +%s)))
  [ "$left_s" -gt 0 ] || return 1
  LC_ALL=C timeout "$left_s" apt-get -qq -o APT::Sandbox::User=root -o Dir::Cache="$scratch/cache" \
    -o Acquire::Retries=0 -o Acquire::http::Timeout=5 -o Acquire::https::Timeout=5 "$@" >>"$said" 2>&1
}

# With lists of packages of its own too: the machine may have none, or old ones, and only root may renew them.
apt_with_lists() {
  apt -o Dir::State::lists="$scratch/lists" -o Acquire::Languages=none "$@"
}

fetch() {
  mkdir -p "$scratch/cache/archives/partial" "$scratch/lists/partial" || return 1
  cd "$scratch" || return 1
  apt download prometheus || { apt_with_lists update && apt_with_lists download prometheus; } || return 1
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool || return 1
  usr/bin/promtool --version
}

# Others may run the tests at the same time: it is there as a whole or not at all.
if (fetch) >>"$said" 2>&1 && mv "$scratch/usr/bin/promtool" "$folder/.promtool-$$" && mv "$folder/.promtool-$$" "$folder/promtool"; then
  echo "promtool: fetched into $folder"
else
  why=$(grep -m 1 'Failed to fetch' "$said" || tail -n 1 "$said")
  echo "promtool: not to be had now (${why:-no answer in time}); the tests of the alerts skip" >&2
fi
