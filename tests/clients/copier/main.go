// Command copier is `skopeo copy` with Sigstore signatures, for machines whose skopeo has none: Debian builds its own without
// them, and skopeo's module has no source in reach of the Go proxy. The library below is the one that skopeo, podman, buildah
// and CRI-O share, so what it signs and what it refuses is what they do.
//
//	copier [-sign-key FILE -passphrase-file FILE -identity NAME] [-policy FILE] [-registries-conf FILE] SOURCE DESTINATION
//
// SOURCE and DESTINATION are written as for skopeo: docker://HOST/NAME:TAG or dir:PATH. Signatures are looked for and written
// beside the image, in the registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/directory"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"
)

// signing says with which key and as what an image is signed on its way; nothing of it is set for a plain copy.
type signing struct {
	key, passphraseFile, identity string
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("copier: ")
	var sign signing
	flag.StringVar(&sign.key, "sign-key", "", "encrypted private key to sign the copy with")
	flag.StringVar(&sign.passphraseFile, "passphrase-file", "", "file with the passphrase of -sign-key")
	flag.StringVar(&sign.identity, "identity", "", "name with tag inside the signature; default: the destination's")
	policy := flag.String("policy", "", "policy.json that the source must satisfy; default: anything is accepted")
	registries := flag.String("registries-conf", "", "registries.conf to map names with; default: the machine's")
	flag.Parse()
	if flag.NArg() != 2 {
		log.Fatal("usage: copier [options] SOURCE DESTINATION")
	}
	if err := run(sign, *policy, *registries, flag.Arg(0), flag.Arg(1)); err != nil {
		log.Fatal(err)
	}
}

func run(sign signing, policyFile, registriesConf, source, destination string) error {
	from, err := parse(source)
	if err != nil {
		return err
	}
	to, err := parse(destination)
	if err != nil {
		return err
	}
	policy, err := loadPolicy(policyFile)
	if err != nil {
		return err
	}
	defer policy.Destroy()
	system, err := signaturesBesideImages()
	if err != nil {
		return err
	}
	defer os.RemoveAll(system.RegistriesDirPath)
	system.SystemRegistriesConfPath = registriesConf

	options := copy.Options{
		SourceCtx:          system,
		DestinationCtx:     system,
		ImageListSelection: copy.CopyAllImages,
		ReportWriter:       os.Stderr,
	}
	if err := sign.apply(&options); err != nil {
		return err
	}
	_, err = copy.Image(context.Background(), policy, to, from, &options)
	return err
}

func parse(name string) (types.ImageReference, error) {
	transport, rest, found := strings.Cut(name, ":")
	switch {
	case found && transport == "docker":
		return docker.Transport.ParseReference(rest)
	case found && transport == "dir":
		return directory.Transport.ParseReference(rest)
	default:
		return nil, fmt.Errorf("%s: neither docker://HOST/NAME:TAG nor dir:PATH", name)
	}
}

func loadPolicy(file string) (*signature.PolicyContext, error) {
	accepting := &signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}}
	if file == "" {
		return signature.NewPolicyContext(accepting)
	}
	policy, err := signature.NewPolicyFromFile(file)
	if err != nil {
		return nil, err
	}
	return signature.NewPolicyContext(policy)
}

// signaturesBesideImages switches on what registries.d has to switch on for Sigstore attachments.
func signaturesBesideImages() (*types.SystemContext, error) {
	folder, err := os.MkdirTemp("", "copier")
	if err != nil {
		return nil, err
	}
	setting := []byte("default-docker: {use-sigstore-attachments: true}\n")
	if err := os.WriteFile(filepath.Join(folder, "default.yaml"), setting, 0o600); err != nil {
		return nil, err
	}
	return &types.SystemContext{
		RegistriesDirPath:           folder,
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
	}, nil
}

func (s signing) apply(options *copy.Options) error {
	if s.key == "" {
		return nil
	}
	passphrase, err := os.ReadFile(s.passphraseFile)
	if err != nil {
		return err
	}
	options.SignBySigstorePrivateKeyFile = s.key
	options.SignSigstorePrivateKeyPassphrase = passphrase
	if s.identity == "" {
		return nil
	}
	named, err := reference.ParseNormalizedNamed(s.identity)
	if err != nil {
		return err
	}
	if reference.IsNameOnly(named) {
		return errors.New("-identity needs a tag")
	}
	options.SignIdentity = named
	return nil
}
