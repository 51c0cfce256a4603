// Signs and judges with the Notary Project's own libraries, without a registry: envelopes are files.
//
//	notation-tool certs  -out DIR -alg rsa2048|rsa3072|rsa4096|ec256|ec384|ec521 -cn NAME [-valid 24h] [-tsa] [-crl URL]
//	notation-tool sign   -manifest FILE -keys DIR -format jws|cose -out FILE [-expiry 1h] [-tsa DIR] [-metadata k=v]
//	notation-tool judge  -manifest FILE -ca FILE [-tsa-root FILE] [-level strict] [-identity DN] ENVELOPE...
//	notation-tool mutate -out DIR -count N ENVELOPE
//
// `certs` writes ca.pem, leaf.key, chain.pem, and with -crl the lists ca.crl (nothing revoked) and
// revoked.crl. `sign -tsa` takes the folder of a timestamp authority that `certs -tsa` made, and stamps with
// openssl. `judge` prints one line of JSON for each envelope; .jws and .cose say what it is.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"log"
	"math/big"
	mathrand "math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	_ "github.com/notaryproject/notation-core-go/signature/cose"
	_ "github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/signer"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"
	"github.com/notaryproject/tspclient-go"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(err error) { must(0, err) }

func main() {
	log.SetFlags(0)
	commands := map[string]func([]string){"certs": certs, "sign": sign, "judge": judge, "mutate": mutate}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		log.Fatal("usage: notation-tool certs|sign|judge|mutate ...")
	}
	commands[os.Args[1]](os.Args[2:])
}

func generate(algorithm string) crypto.Signer {
	switch algorithm {
	case "rsa2048":
		return must(rsa.GenerateKey(rand.Reader, 2048))
	case "rsa3072":
		return must(rsa.GenerateKey(rand.Reader, 3072))
	case "rsa4096":
		return must(rsa.GenerateKey(rand.Reader, 4096))
	case "ec384":
		return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	case "ec521":
		return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
	case "ec256":
		return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	log.Fatalf("no such kind of key: %s", algorithm)
	return nil
}

func writePEM(path, label string, blocks ...[]byte) {
	var text []byte
	for _, block := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: label, Bytes: block})...)
	}
	check(os.WriteFile(path, text, 0o600))
}

// A root that signs one leaf: for images, or with -tsa for timestamps.
func certs(arguments []string) {
	flags := flag.NewFlagSet("certs", flag.ExitOnError)
	out := flags.String("out", "", "")
	algorithm := flags.String("alg", "ec256", "")
	name := flags.String("cn", "release", "")
	valid := flags.Duration("valid", 10*365*24*time.Hour, "")
	tsa := flags.Bool("tsa", false, "")
	crl := flags.String("crl", "", "")
	check(flags.Parse(arguments))
	check(os.MkdirAll(*out, 0o755))
	begin := time.Now().Add(-time.Hour)
	subject := func(name string) pkix.Name {
		return pkix.Name{Country: []string{"US"}, Province: []string{"WA"}, Organization: []string{"Acme"}, CommonName: name}
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject(*name + " root"), NotBefore: begin, NotAfter: begin.AddDate(20, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: subject(*name), NotBefore: begin, NotAfter: time.Now().Add(*valid),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	if *crl != "" {
		leaf.CRLDistributionPoints = []string{*crl}
	}
	if *tsa { // The purpose has to be critical and alone, which crypto/x509 does not write by itself.
		leaf.ExtKeyUsage = nil
		timeStamping := []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}
		leaf.ExtraExtensions = []pkix.Extension{{Id: []int{2, 5, 29, 37}, Critical: true, Value: timeStamping}}
	}
	rootKey, leafKey := generate(*algorithm), generate(*algorithm)
	rootDER := must(x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey))
	issuer := must(x509.ParseCertificate(rootDER))
	leafDER := must(x509.CreateCertificate(rand.Reader, leaf, issuer, leafKey.Public(), rootKey))
	writePEM(filepath.Join(*out, "ca.pem"), "CERTIFICATE", rootDER)
	writePEM(filepath.Join(*out, "chain.pem"), "CERTIFICATE", leafDER, rootDER)
	writePEM(filepath.Join(*out, "leaf.key"), "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(leafKey)))
	if *crl == "" {
		return
	}
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: begin, NextUpdate: begin.AddDate(20, 0, 0)}
	writePEM(filepath.Join(*out, "ca.crl"), "X509 CRL", must(x509.CreateRevocationList(rand.Reader, list, issuer, rootKey)))
	list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: leaf.SerialNumber, RevocationTime: begin, ReasonCode: 1}}
	writePEM(filepath.Join(*out, "revoked.crl"), "X509 CRL", must(x509.CreateRevocationList(rand.Reader, list, issuer, rootKey)))
}

func descriptor(manifest string) ocispec.Descriptor {
	content := must(os.ReadFile(manifest))
	var header struct{ MediaType string }
	check(json.Unmarshal(content, &header))
	return ocispec.Descriptor{MediaType: header.MediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func mediaType(format string) string {
	return map[string]string{"jws": "application/jose+json", "cose": "application/cose"}[strings.TrimPrefix(format, ".")]
}

func sign(arguments []string) {
	flags := flag.NewFlagSet("sign", flag.ExitOnError)
	manifest := flags.String("manifest", "", "")
	keys := flags.String("keys", "", "")
	format := flags.String("format", "jws", "")
	out := flags.String("out", "", "")
	expiry := flags.Duration("expiry", 0, "")
	tsa := flags.String("tsa", "", "")
	metadata := flags.String("metadata", "", "")
	check(flags.Parse(arguments))
	signing := must(signer.NewGenericSignerFromFiles(filepath.Join(*keys, "leaf.key"), filepath.Join(*keys, "chain.pem")))
	options := notation.SignerSignOptions{SignatureMediaType: mediaType(*format), ExpiryDuration: *expiry}
	if *tsa != "" {
		options.Timestamper = authority(*tsa)
		options.TSARootCAs = x509.NewCertPool()
		options.TSARootCAs.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(*tsa, "ca.pem"))))
		options.TSARevocationValidator = must(revocation.NewWithOptions(revocation.Options{CertChainPurpose: purpose.Timestamping}))
	}
	target := descriptor(*manifest)
	if name, value, found := strings.Cut(*metadata, "="); found {
		target.Annotations = map[string]string{name: value}
	}
	envelope, _, err := signing.Sign(context.Background(), target, options)
	check(err)
	check(os.WriteFile(*out, envelope, 0o644))
}

// A timestamp authority: a folder with its keys, and openssl.
type authority string

func (folder authority) Timestamp(_ context.Context, request *tspclient.Request) (*tspclient.Response, error) {
	at := func(name string) string { return filepath.Join(string(folder), name) }
	settings := `[tsa]
default_tsa = authority
[authority]
serial = %[1]s/serial
signer_cert = %[1]s/chain.pem
certs = %[1]s/chain.pem
signer_key = %[1]s/leaf.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.57264.2
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
`
	check(os.WriteFile(at("openssl.cnf"), fmt.Appendf(nil, settings, folder), 0o600))
	check(os.WriteFile(at("query"), must(request.MarshalBinary()), 0o600))
	command := exec.Command("openssl", "ts", "-reply", "-config", at("openssl.cnf"), "-queryfile", at("query"), "-out", at("reply"))
	if told, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("openssl: %w: %s", err, told)
	}
	response := new(tspclient.Response)
	return response, response.UnmarshalBinary(must(os.ReadFile(at("reply"))))
}

// The verdict of notation's verifier on each envelope, under one policy for everything.
func judge(arguments []string) {
	flags := flag.NewFlagSet("judge", flag.ExitOnError)
	manifest := flags.String("manifest", "", "")
	ca := flags.String("ca", "", "")
	tsaRoot := flags.String("tsa-root", "", "")
	level := flags.String("level", "strict", "")
	identity := flags.String("identity", "*", "")
	check(flags.Parse(arguments))
	home := must(os.MkdirTemp("", "notation"))
	defer os.RemoveAll(home)
	stores := []string{}
	for kind, file := range map[string]string{"ca": *ca, "tsa": *tsaRoot} {
		if file == "" {
			continue
		}
		folder := filepath.Join(home, "truststore", "x509", kind, "all")
		check(os.MkdirAll(folder, 0o755))
		check(os.WriteFile(filepath.Join(folder, "root.pem"), must(os.ReadFile(file)), 0o644))
		stores = append(stores, kind+":all")
	}
	policy := &trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name: "all", RegistryScopes: []string{"*"}, TrustStores: stores, TrustedIdentities: []string{*identity},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: *level},
	}}}
	verifying := must(verifier.New(policy, truststore.NewX509TrustStore(dir.NewSysFS(home)), nil))
	target := descriptor(*manifest)
	output := json.NewEncoder(os.Stdout)
	for _, file := range flags.Args() {
		_, err := verifying.Verify(context.Background(), target, must(os.ReadFile(file)), notation.VerifierVerifyOptions{
			ArtifactReference: "registry.test/acme/app@" + target.Digest.String(), SignatureMediaType: mediaType(filepath.Ext(file)),
		})
		line := map[string]any{"file": filepath.Base(file), "accepted": err == nil, "error": ""}
		if err != nil {
			line["error"] = err.Error()
		}
		check(output.Encode(line))
	}
}

// Copies of an envelope, each with one byte changed, taken out, doubled or put in. The same every time.
func mutate(arguments []string) {
	flags := flag.NewFlagSet("mutate", flag.ExitOnError)
	out := flags.String("out", "", "")
	count := flags.Int("count", 500, "")
	check(flags.Parse(arguments))
	check(os.MkdirAll(*out, 0o755))
	source := flags.Arg(0)
	whole := must(os.ReadFile(source))
	random := mathrand.New(mathrand.NewSource(int64(len(whole))))
	name := strings.TrimSuffix(filepath.Base(source), filepath.Ext(source))
	for number := range *count {
		at := random.Intn(len(whole))
		changed := append([]byte{}, whole[:at]...)
		switch number % 4 {
		case 0:
			changed = append(append(changed, whole[at]^byte(1<<random.Intn(8))), whole[at+1:]...)
		case 1:
			changed = append(changed, whole[at+1:]...)
		case 2:
			changed = append(append(changed, whole[at]), whole[at:]...)
		case 3:
			changed = append(append(changed, byte(random.Intn(256))), whole[at:]...)
		}
		file := fmt.Sprintf("%s-%04d%s", name, number, filepath.Ext(source))
		check(os.WriteFile(filepath.Join(*out, file), changed, 0o644))
	}
}
