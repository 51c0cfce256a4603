#!/usr/bin/env bash
# Changes recorded Notation envelopes byte by byte and compares what notation's own verifier and Portcullis say of each copy.
#
# A copy that one takes and the other does not is listed; it has to be one of the kinds that the test explains as our stricter rules,
# or the script fails. Needs tests/clients/install.sh notation-tool.
#
#   tests/clients/notation-differential.sh [COPIES OF EACH]     (default 300)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/clients/tools.sh
. "$here/tools.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for case in jws-rsa2048 jws-ec256 jws-ec384 cose-rsa2048 cose-ec256 cose-ec521 stamped stamped-cose expiring; do
  recorded=$here/../vectors/notation/$case
  mkdir -p "$work/$case"
  cp "$recorded"/*.json "$recorded"/*.pem "$work/$case/"
  notation-tool mutate -out "$work/$case/copies" -count "${1:-300}" "$recorded"/envelope.*
  options=()
  [ ! -e "$recorded/tsa.pem" ] || options=(-tsa-root "$recorded/tsa.pem")
  notation-tool judge -manifest "$recorded/manifest.json" -ca "$recorded/ca.pem" "${options[@]}" "$work/$case/copies"/* >"$work/$case/verdicts"
done
cd "$here/../.."
PORTCULLIS_DIFFERENTIAL=$work cargo test --lib agrees_with_notation_about_changed_envelopes -- --nocapture
