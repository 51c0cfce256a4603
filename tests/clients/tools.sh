# shellcheck shell=bash
# Where the programs are that install.sh builds. Sourced by every suite; changes nothing but $TOOLS and $PATH.
TOOLS=${PORTCULLIS_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/portcullis-tools}
PATH=$TOOLS/bin:$PATH
