// Command memregistry is an upstream for the conformance suite: a registry that keeps everything in memory and, unlike
// the registries that Debian and distribution ship, can answer the OCI 1.1 referrers API.
//
// It listens on a loopback port that the kernel picks and prints its address, so that suites can run side by side.
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	referrers := flag.Bool("referrers", true, "answer the referrers API; without it clients use the tag schema")
	flag.Parse()

	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatalf("memregistry: cannot listen on %s: %v", *address, err)
	}
	fmt.Println(listener.Addr())

	server := http.Server{
		Handler: registry.New(
			registry.WithReferrersSupport(*referrers),
			registry.Logger(log.New(io.Discard, "", 0)),
		),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatalf("memregistry: %v", server.Serve(listener))
}
