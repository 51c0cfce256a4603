#!/usr/bin/env bash
# up.sh DIR [BASEPORT]
# Starts an OIDC issuer, a CT log, Fulcio, a timestamp authority, Rekor 2 and Rekor 1 (on an in-memory Trillian) on
# 127.0.0.1:BASEPORT to +21, and writes into DIR everything that a signer or a verifier needs. Environment: SIGSTACK_BIN, the
# folder with the programs that ../install.sh builds; WITH_REGISTRY=0 leaves the two in-memory registries out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
DIR=${1:?usage: up.sh DIR [BASEPORT]}
BASE=${2:-7100}
BIN=$(cd "${SIGSTACK_BIN:?SIGSTACK_BIN: directory of the server binaries}" && pwd)
COSIGN3=${COSIGN3:-$BIN/cosign3}
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd)
[ -e "$DIR/pids" ] && { echo "up.sh: $DIR/pids exists: run down.sh first" >&2; exit 1; }
rm -rf "$DIR/rekor2-storage" "$DIR/ct.tree"
mkdir -p "$DIR/log" "$DIR/pki"
H=127.0.0.1
P_OIDC=$BASE P_FULCIO=$((BASE+1)) P_FGRPC=$((BASE+2)) P_FMETRICS=$((BASE+3)) P_TSA=$((BASE+4))
P_REKOR2=$((BASE+5)) P_R2GRPC=$((BASE+6)) P_R2METRICS=$((BASE+7)) P_REKOR1=$((BASE+8))
P_TRILLIAN=$((BASE+9)) P_CT=$((BASE+10)) P_FULCIO0=$((BASE+11)) P_F0GRPC=$((BASE+12)) P_F0METRICS=$((BASE+13)) P_REG=$((BASE+20)) P_REGTAG=$((BASE+21))
for p in $P_OIDC $P_FULCIO $P_FGRPC $P_FMETRICS $P_TSA $P_REKOR2 $P_R2GRPC $P_R2METRICS $P_REKOR1 $P_TRILLIAN $P_CT $P_FULCIO0 $P_F0GRPC $P_F0METRICS $P_REG $P_REGTAG; do
  (exec 3<>"/dev/tcp/$H/$p") 2>/dev/null && { echo "up.sh: port $p is taken: stop the other stack or give another BASEPORT" >&2; exit 1; }
done
: > "$DIR/pids"
trap 'rc=$?; [ $rc -eq 0 ] || { echo "up.sh: failed, stopping what it started (logs: $DIR/log)" >&2; "$here/down.sh" "$DIR" >&2; }' EXIT

start() { # name command...
  local name=$1; shift
  setsid "$@" >"$DIR/log/$name.log" 2>&1 </dev/null &
  echo "$name $!" >> "$DIR/pids"
}
ready() { # name url [seconds]
  local i
  for ((i=0; i<${3:-30}*20; i++)); do
    curl --noproxy '*' -sf -o /dev/null --max-time 2 "$2" && return 0
    kill -0 "$(awk -v n="$1" '$1==n{print $2}' "$DIR/pids")" 2>/dev/null || { echo "up.sh: $1 ended:" >&2; tail -5 "$DIR/log/$1.log" >&2; return 1; }
    sleep 0.05
  done
  echo "up.sh: $1 not ready at $2" >&2; return 1
}

# ---------------------------------------------------------------- keys, once
cd "$DIR/pki"
ec() { [ -e "$1" ] || openssl ecparam -name "${2:-prime256v1}" -genkey -noout 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -out "$1"; }
selfca() { # key cert subject
  [ -e "$2" ] || openssl req -x509 -new -key "$1" -sha256 -days 3650 -subj "$3" -out "$2" \
    -addext basicConstraints=critical,CA:TRUE,pathlen:1 -addext keyUsage=critical,keyCertSign,cRLSign
}
issue() { # cakey cacert key cert subject extensions...
  local ca_k=$1 ca_c=$2 k=$3 c=$4 s=$5; shift 5
  [ -e "$c" ] && return 0
  printf '%s\n' "$@" authorityKeyIdentifier=keyid subjectKeyIdentifier=hash > "$c.ext"
  openssl req -new -key "$k" -subj "$s" -out "$c.csr"
  openssl x509 -req -in "$c.csr" -CA "$ca_c" -CAkey "$ca_k" -CAcreateserial -sha256 -days 3650 -extfile "$c.ext" -out "$c" 2>/dev/null
}
ec fulcio-root.key secp384r1; selfca fulcio-root.key fulcio-root.pem "/O=sigstack/CN=sigstack fulcio root"
ec fulcio-int.key  secp384r1; issue fulcio-root.key fulcio-root.pem fulcio-int.key fulcio-int.pem "/O=sigstack/CN=sigstack fulcio intermediate" \
  basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign extendedKeyUsage=codeSigning
cat fulcio-int.pem fulcio-root.pem > fulcio-chain.pem          # issuing CA first, root last
ec tsa-root.key secp384r1; selfca tsa-root.key tsa-root.pem "/O=sigstack/CN=sigstack tsa root"
ec tsa-int.key  secp384r1; issue tsa-root.key tsa-root.pem tsa-int.key tsa-int.pem "/O=sigstack/CN=sigstack tsa intermediate" \
  basicConstraints=critical,CA:TRUE,pathlen:0 keyUsage=critical,keyCertSign,cRLSign extendedKeyUsage=timeStamping
ec tsa-leaf.key; issue tsa-int.key tsa-int.pem tsa-leaf.key tsa-leaf.pem "/O=sigstack/CN=sigstack tsa" \
  basicConstraints=critical,CA:FALSE keyUsage=critical,digitalSignature extendedKeyUsage=critical,timeStamping
cat tsa-leaf.pem tsa-int.pem tsa-root.pem > tsa-chain-in.pem    # leaf first, root last
ec rekor1.key; openssl pkey -in rekor1.key -pubout -out rekor1.pub
[ -e rekor2.key ] || openssl genpkey -algorithm ed25519 -out rekor2.key
openssl pkey -in rekor2.key -pubout -out rekor2.pub
ec ct.key; openssl pkey -in ct.key -pubout -out ct.pub
cd "$DIR"
[ -e cosign.key ] || COSIGN_PASSWORD='' "$COSIGN3" generate-key-pair --output-key-prefix "$DIR/cosign" >/dev/null 2>&1
[ -e other.key ]  || COSIGN_PASSWORD='' "$COSIGN3" generate-key-pair --output-key-prefix "$DIR/other"  >/dev/null 2>&1

# ---------------------------------------------------------------- OIDC issuer
ISS_EMAIL=http://$H:$P_OIDC/email
ISS_ACTIONS=http://$H:$P_OIDC/actions
ISS_GITHUB=https://token.actions.githubusercontent.com
start oidcd "$BIN/oidcd" -listen "$H:$P_OIDC" -key "$DIR/pki/oidc.key" -ca-out "$DIR/pki/oidc-ca.pem" \
  -issuer "$ISS_EMAIL" -issuer "$ISS_ACTIONS" -issuer "$ISS_GITHUB"
# ---------------------------------------------------------------- Trillian, CT log
start trillian "$BIN/memtrillian" -rpc_endpoint $H:$P_TRILLIAN -create_tree "$DIR/ct.tree"
for ((i=0; i<400; i++)); do [ -s "$DIR/ct.tree" ] && break; sleep 0.05; done
esc() { od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g'; }       # bytes as a text-proto string
cat > ct.cfg <<EOF
config {
  log_id: $(cat ct.tree)
  prefix: "ctlog"
  roots_pem_file: "$DIR/pki/fulcio-root.pem"
  private_key: { [type.googleapis.com/keyspb.PrivateKey] { der: "$(openssl pkcs8 -topk8 -nocrypt -in pki/ct.key -outform DER | esc)" } }
  public_key: { der: "$(openssl pkey -pubin -in pki/ct.pub -outform DER | esc)" }
  ext_key_usages: "CodeSigning"
  max_merge_delay_sec: 86400
  expected_merge_delay_sec: 1
}
EOF
start ctlog "$BIN/ct_server" -http_endpoint $H:$P_CT -log_config "$DIR/ct.cfg" -log_rpc_server $H:$P_TRILLIAN -get_sth_interval 0
ready oidcd "http://$H:$P_OIDC/healthz"
ready ctlog http://$H:$P_CT/ctlog/ct/v1/get-roots
# ---------------------------------------------------------------- Fulcio
sed -e "s|@ISS_EMAIL@|$ISS_EMAIL|g; s|@ISS_ACTIONS@|$ISS_ACTIONS|g; s|@ISS_GITHUB@|$ISS_GITHUB|g" "$here/fulcio-config.yaml.in" > fulcio.yaml
fulcio() { # name port grpc-port metrics-port ct-log arguments...
  local n=$1 p=$2 g=$3 m=$4; shift 4
  start "$n" env HTTPS_PROXY="http://$H:$P_OIDC" SSL_CERT_FILE="$DIR/pki/oidc-ca.pem" \
    "$BIN/fulcio" serve --host $H --port "$p" --grpc-host $H --grpc-port "$g" --metrics-port "$m" \
    --legacy-unix-domain-socket "@sigstack-fulcio-$p" --config-path "$DIR/fulcio.yaml" \
    --ca fileca --fileca-cert "$DIR/pki/fulcio-chain.pem" --fileca-key "$DIR/pki/fulcio-int.key" --fileca-key-passwd unused --fileca-watch=false "$@"
}
fulcio fulcio $P_FULCIO $P_FGRPC $P_FMETRICS --ct-log-url http://$H:$P_CT/ctlog --ct-log-public-key-path "$DIR/pki/ct.pub"
# the same CA without a CT log: its certificates have no SCT (for negative tests)
fulcio fulcio-nosct $P_FULCIO0 $P_F0GRPC $P_F0METRICS --ct-log-url ""
# ---------------------------------------------------------------- TSA
start tsa "$BIN/timestamp-server" serve --host $H --port $P_TSA --disable-ntp-monitoring \
  --timestamp-signer file --file-signer-key-path "$DIR/pki/tsa-leaf.key" --file-signer-passwd '' \
  --certificate-chain-path "$DIR/pki/tsa-chain-in.pem"
# ---------------------------------------------------------------- Rekor v2
REKOR2_ORIGIN=rekor2.sigstack.test
start rekor2 "$BIN/rekor2-posix" serve --http-address $H --http-port $P_REKOR2 --grpc-address $H --grpc-port $P_R2GRPC \
  --http-metrics-port $P_R2METRICS --hostname $REKOR2_ORIGIN --storage-dir "$DIR/rekor2-storage" \
  --signer-filepath "$DIR/pki/rekor2.key" --checkpoint-interval 200ms --batch-max-age 50ms
# ---------------------------------------------------------------- Rekor v1
start rekor1 "$BIN/rekor-server" serve --rekor_server.address $H --port $P_REKOR1 --rekor_server.hostname rekor1.sigstack.test \
  --trillian_log_server.address $H --trillian_log_server.port $P_TRILLIAN --rekor_server.signer "$DIR/pki/rekor1.key" \
  --enable_retrieve_api=false --enabled_api_endpoints getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,getLogEntryByUUID,searchLogQuery
# ---------------------------------------------------------------- registries
if [ "${WITH_REGISTRY:-1}" = 1 ]; then
  start registry     "$BIN/memregistry" -listen $H:$P_REG
  start registry-tag "$BIN/memregistry" -listen $H:$P_REGTAG -referrers=false
  ready registry http://$H:$P_REG/v2/
  ready registry-tag http://$H:$P_REGTAG/v2/
fi
ready fulcio http://$H:$P_FULCIO/healthz
ready fulcio-nosct http://$H:$P_FULCIO0/healthz
ready tsa    http://$H:$P_TSA/ping
ready rekor2 http://$H:$P_REKOR2/healthz
ready rekor1 http://$H:$P_REKOR1/ping

# ---------------------------------------------------------------- what clients need
curl --noproxy "*" -sf http://$H:$P_TSA/api/v1/timestamp/certchain > tsa-chain.pem
curl --noproxy "*" -sf http://$H:$P_REKOR1/api/v1/log/publicKey > rekor1.pub
curl --noproxy "*" -sf http://$H:$P_FULCIO/api/v2/trustBundle > fulcio-trust-bundle.json
cp pki/rekor2.pub pki/ct.pub pki/fulcio-root.pem pki/fulcio-int.pem pki/fulcio-chain.pem .
T0=$(date -u -d '1 day ago' +%Y-%m-%dT%H:%M:%SZ)
FUL="url=http://$H:$P_FULCIO,certificate-chain=$DIR/fulcio-chain.pem,start-time=$T0"
R1="url=http://$H:$P_REKOR1,public-key=$DIR/rekor1.pub,start-time=$T0"
R2="url=https://$REKOR2_ORIGIN,public-key=$DIR/rekor2.pub,start-time=$T0,origin=$REKOR2_ORIGIN"
CT="url=http://$H:$P_CT/ctlog,public-key=$DIR/ct.pub,start-time=$T0"
TS="url=http://$H:$P_TSA/api/v1/timestamp,certificate-chain=$DIR/tsa-chain.pem,start-time=$T0"
"$COSIGN3" trusted-root create --fulcio "$FUL" --rekor "$R1" --rekor "$R2" --ctfe "$CT" --tsa "$TS" --out trusted_root.json
sc() { # out rekor-version tsa [fulcio port]
  local out=$1 rv=$2 tsa=$3 fp=${4:-$P_FULCIO}; local -a a=()
  [ "$rv" = 2 ] && a+=(--rekor "url=http://$H:$P_REKOR2,api-version=2,start-time=$T0,operator=sigstack" --rekor-config ANY)
  [ "$rv" = 1 ] && a+=(--rekor "url=http://$H:$P_REKOR1,api-version=1,start-time=$T0,operator=sigstack" --rekor-config ANY)
  [ "$tsa" = 1 ] && a+=(--tsa "url=http://$H:$P_TSA/api/v1/timestamp,api-version=1,start-time=$T0,operator=sigstack" --tsa-config ANY)
  "$COSIGN3" signing-config create --fulcio "url=http://$H:$fp,api-version=1,start-time=$T0,operator=sigstack" \
    --oidc-provider "url=$ISS_EMAIL,api-version=1,start-time=$T0,operator=sigstack" ${a[@]+"${a[@]}"} --out "$out"
}
sc signing_config.rekor2-tsa.json 2 1
sc signing_config.rekor2.json     2 0
sc signing_config.rekor1.json     1 0
sc signing_config.rekor1-tsa.json 1 1
sc signing_config.tsa.json        0 1
sc signing_config.none.json       0 0
sc signing_config.nosct.json      2 1 $P_FULCIO0
cat > env.sh <<EOF
export SIGSTACK_DIR='$DIR'
export OIDC_URL=http://$H:$P_OIDC ISS_EMAIL=$ISS_EMAIL ISS_ACTIONS=$ISS_ACTIONS ISS_GITHUB=$ISS_GITHUB
export FULCIO_URL=http://$H:$P_FULCIO FULCIO_NOSCT_URL=http://$H:$P_FULCIO0 TSA_URL=http://$H:$P_TSA/api/v1/timestamp CT_URL=http://$H:$P_CT/ctlog
export REKOR1_URL=http://$H:$P_REKOR1 REKOR2_URL=http://$H:$P_REKOR2 REKOR2_ORIGIN=$REKOR2_ORIGIN
export REGISTRY=$H:$P_REG REGISTRY_TAG=$H:$P_REGTAG
EOF
trap - EXIT
echo "up.sh: ready in ${SECONDS}s, $DIR"
