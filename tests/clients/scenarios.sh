# shellcheck shell=bash
# What is asked of every client, and the table of the answers.
#
# A client is a file in programs/ that defines, for its name with dashes as underscores:
#   CLIENT_start       optional: configuration, daemons
#   CLIENT_pull NAME   pulls a canonical name through the mirror, with nothing kept from an earlier pull
#   CLIENT_run NAME    optional: runs the image that was pulled last, and prints what it prints
#   reason_in[CLIENT]  where its user sees why an image was refused:
#                      body (the message of the answer), phrase (the reason phrase of the status line), log (a daemon's log only)
#   upstreams[CLIENT]  optional: the upstream names that it pulls from; default: both registries

declare -A reason_in=() upstreams=() cells=()
readonly COLUMNS_ONLINE=(signed digest run index unsigned altered foreign)
readonly COLUMNS_OFFLINE=(cached refused)
passed=0
failed=0

# cell CLIENT COLUMN COMMAND...: one field of the table. In a subshell with `set -e` of its own, which a condition would
# switch off, so that any command that fails inside a scenario fails the field.
cell() {
  local client=$1 column=$2 log=$logs/$1-$2.log status began=$SECONDS
  shift 2
  set +e
  (
    set -e
    "$@"
  ) >"$log" 2>&1 </dev/null
  status=$?
  set -e
  if [ "$status" -eq 0 ]; then
    cells[$client.$column]=ok
    passed=$((passed + 1))
  else
    cells[$client.$column]=FAILED
    failed=$((failed + 1))
    say "--- $client $column failed after $((SECONDS - began)) s; the end of $log:"
    tail -n 15 "$log" >&2
  fi
}

online() {
  local client=$1 column
  for column in "${COLUMNS_ONLINE[@]}"; do
    if [ "$column" = run ] && ! defined "$client" run; then
      continue
    fi
    cell "$client" "$column" "expect_$column" "$client"
  done
}

offline() {
  local client=$1 column
  for column in "${COLUMNS_OFFLINE[@]}"; do
    cell "$client" "$column" "expect_$column" "$client"
  done
}

# ---- the fields

expect_signed() {
  local upstream repository
  for upstream in $(upstreams_of "$1"); do
    for repository in "${SIGNED[@]}"; do
      call "$1" pull "$upstream/$repository:$TAG"
    done
  done
}

# By digest the client itself checks that it got the very manifest that was signed.
expect_digest() {
  local upstream
  for upstream in $(upstreams_of "$1"); do
    call "$1" pull "$upstream/acme/cosign3@$(signed_digest acme/cosign3)"
  done
}

expect_run() {
  local upstream
  for upstream in $(upstreams_of "$1"); do
    call "$1" pull "$upstream/acme/cosign2:$TAG"
    call "$1" run "$upstream/acme/cosign2:$TAG" | tee /dev/stderr | grep -qx 'acme/cosign2 for linux/amd64'
  done
}

expect_index() {
  local upstream
  for upstream in $(upstreams_of "$1"); do
    call "$1" pull "$upstream/acme/index:$TAG"
    ! defined "$1" run || call "$1" run "$upstream/acme/index:$TAG" | tee /dev/stderr | grep -qx 'acme/index for linux/amd64'
  done
}

expect_unsigned() { refused_with_reason "$1" acme/unsigned; }
expect_altered() { refused_with_reason "$1" acme/altered; }
expect_foreign() { refused_with_reason "$1" acme/foreign; }

# With the upstreams stopped: what was admitted still comes, what was not still does not, asked for before or not.
expect_cached() {
  expect_signed "$1"
  expect_index "$1"
}

expect_refused() {
  local upstream repository
  for upstream in $(upstreams_of "$1"); do
    for repository in acme/unsigned acme/unseen; do
      refused "$1" "$upstream/$repository:$TAG"
    done
  done
}

# ---- refusals

refused() {
  local status
  set +e
  (
    set -e
    call "$1" pull "$2"
  ) >"$work/refusal" 2>&1
  status=$?
  set -e
  cat "$work/refusal"
  if [ "$status" -eq 0 ]; then
    echo "$1 pulled $2, which must be refused"
    return 1
  fi
}

# The mirror's own words must reach the user wherever the client passes them on. Where it does not, that is asserted too:
# a client that begins to show them is a change worth knowing.
refused_with_reason() {
  local client=$1 upstream name message
  for upstream in $(upstreams_of "$client"); do
    name=$upstream/$2:$TAG
    message=$(denial "$name")
    refused "$client" "$name"
    case ${reason_in[$client]} in
      body) shows "$message" "$work/refusal" ;;
      phrase) shows "$(denial_phrase "$name")" "$work/refusal" ;;
      log)
        shows "$message" "$logs/dockerd.log"
        if shows "$message" "$work/refusal"; then
          echo "$client shows the reason now: say so in programs/$client.sh"
          return 1
        fi
        ;;
    esac
  done
}

# shows TEXT FILE: whatever the client's logger did to quotes and line breaks, and whichever decision it was: each one that is
# made anew has another number.
shows() {
  if ! plain <"$2" | grep --quiet --fixed-strings -- "$(plain <<<"$1" | sed 's/ *$//')"; then
    echo "not shown: $1"
    return 1
  fi
}

plain() { tr -d '\\"`' | tr -s '[:space:]' ' ' | sed -E 's/[0-9A-HJKMNP-TV-Z]{26}/ID/g'; }

# ---- clients

call() {
  local client=$1 verb=$2
  shift 2
  "${client//-/_}_$verb" "$@"
}

defined() { declare -F "${1//-/_}_$2" >/dev/null; }

upstreams_of() { echo "${upstreams[$1]:-registry.test debian.test}"; }

# The upstream's digest, asked of the mirror by name and no client: the manifest is the same in both registries.
signed_digest() {
  curl --silent --fail --head --header 'Accept: */*' "$(manifest_url "registry.test/$1:$TAG")" |
    sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: *\(sha256:[0-9a-f]*\).*/\1/p' | grep .
}

print_table() {
  local client column
  {
    echo "client ${COLUMNS_ONLINE[*]} ${COLUMNS_OFFLINE[*]}"
    for client in "$@"; do
      printf '%s' "$client"
      for column in "${COLUMNS_ONLINE[@]}" "${COLUMNS_OFFLINE[@]}"; do
        printf ' %s' "${cells[$client.$column]:--}"
      done
      echo
    done
  } | column -t
}
