#!/usr/bin/env bash
# Makes a certificate authority and a server certificate for trying the mirror with TLS: see README.md here.
#
#   certs/generate.sh [NAME...]    NAME: further host names or IP addresses beside localhost, 127.0.0.1 and ::1
#
# Writes ca.pem, mirror.pem and mirror.key beside this script (git ignores them), or into PORTCULLIS_CERTS. Runs again without
# asking: everything is made anew, and the authority's own key is thrown away at the end, so it can sign nothing else.
set -euo pipefail

readonly DAYS=90
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=${PORTCULLIS_CERTS:-$here}

# alternative_names NAME...: as openssl writes them. What looks like an address is one: a host name cannot end in a digit only
# label, and cannot hold a colon.
alternative_names() {
  local name names=()
  for name in "$@"; do
    case $name in
      *:* | *.[0-9] | *.[0-9][0-9] | *.[0-9][0-9][0-9]) names+=("IP:$name") ;;
      *) names+=("DNS:$name") ;;
    esac
  done
  (IFS=,; echo "${names[*]}")
}

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

authority() {
  key "$work/ca.key"
  openssl req -x509 -new -key "$work/ca.key" -days "$DAYS" -subj "/CN=Portcullis test authority" -out "$output/ca.pem" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign
}

server_certificate() {
  cat >"$work/extensions" <<CONF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $1
authorityKeyIdentifier = keyid
CONF
  key "$output/mirror.key"
  openssl req -new -key "$output/mirror.key" -subj "/CN=portcullis" -out "$work/mirror.csr"
  openssl x509 -req -in "$work/mirror.csr" -CA "$output/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
    -days "$DAYS" -extfile "$work/extensions" -out "$output/mirror.pem" 2>/dev/null
}

main() {
  umask 077
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$output"
  authority
  server_certificate "$(alternative_names localhost 127.0.0.1 ::1 "$@")"
  openssl verify -CAfile "$output/ca.pem" "$output/mirror.pem" >/dev/null
  chmod 0644 "$output/ca.pem" "$output/mirror.pem"
  echo "wrote ca.pem, mirror.pem and mirror.key to $output, valid for $DAYS days"
}

main "$@"
