package rpc_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/rpc/tlstest"
	"github.com/reprise-mq/reprise/broker/server"
)

// secured is the only node of a cluster, with certificates.
type secured struct {
	t       *testing.T
	ca      *tlstest.Authority
	node    rpc.TLS
	address string
}

func secure(t *testing.T) *secured {
	s := &secured{t: t}
	var err error
	if s.ca, err = tlstest.New(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.node = s.issue("node")
	credentials, err := s.node.ServerCredentials()
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{
		Node: server.NodeConfig("v1"), Data: t.TempDir(), Listen: "127.0.0.1:0",
		Log: slog.New(slog.DiscardHandler), Credentials: credentials,
	}
	cfg.Node.Init, cfg.Node.JournalFileBytes = true, 1<<20
	node, err := server.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	s.address = node.Address()
	return s
}

func (s *secured) issue(name string) rpc.TLS {
	s.t.Helper()
	files, err := s.ca.Issue(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// ask reports whether a client with these credentials is answered.
func (s *secured) ask(c rpc.Credentials) error {
	s.t.Helper()
	cl, err := client.New(client.Config{Bootstrap: []string{s.address}, Credentials: c, Timeout: 500 * time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	defer cl.Close(s.t.Context())
	_, err = cl.Metadata(s.t.Context())
	return err
}

func (s *secured) askWith(files rpc.TLS) error {
	s.t.Helper()
	c, err := files.ClientCredentials()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.ask(c)
}

// Only who shows a certificate of the CA is let in, and only a node that shows one is
// talked to.
func TestMutualTLS(t *testing.T) {
	s := secure(t)
	mine := s.issue("client")
	if err := s.askWith(mine); err != nil {
		t.Errorf("a client with a certificate: %v", err)
	}
	if err := s.askWith(rpc.TLS{CA: mine.CA}); err == nil {
		t.Error("a client without a certificate is let in")
	}
	if err := s.ask(rpc.Credentials{}); err == nil {
		t.Error("a client in plain text is let in")
	}
	other, err := tlstest.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.Issue("client")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.askWith(rpc.TLS{Cert: foreign.Cert, Key: foreign.Key, CA: mine.CA}); err == nil {
		t.Error("a client with a certificate of another CA is let in")
	}
	if err := s.askWith(rpc.TLS{Cert: mine.Cert, Key: mine.Key, CA: foreign.CA}); err == nil {
		t.Error("a client talks to a node that another CA has signed")
	}
}

// A node shows a certificate that was put in the place of its first one, and goes on with
// the last good one while there is nothing of use.
func TestCertificatesAreRenewed(t *testing.T) {
	s := secure(t)
	mine := s.issue("client")
	if got, want := s.shown(mine), int64(2); got != want {
		t.Fatalf("the node shows certificate %d, want %d", got, want)
	}
	s.issue("node")
	renewed := s.ca.Issued()
	if got := s.shown(mine); got != renewed {
		t.Errorf("the node shows certificate %d, want %d", got, renewed)
	}
	if err := os.WriteFile(s.node.Cert, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.shown(mine); got != renewed {
		t.Errorf("with nonsense in the file the node shows certificate %d, want %d", got, renewed)
	}
	if err := s.askWith(mine); err != nil {
		t.Error(err)
	}
}

// shown is the serial number of the certificate that the node shows.
func (s *secured) shown(mine rpc.TLS) int64 {
	s.t.Helper()
	pair, err := tls.LoadX509KeyPair(mine.Cert, mine.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	pem, err := os.ReadFile(mine.CA)
	if err != nil {
		s.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", s.address, &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, NextProtos: []string{"h2"}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// Files of no use are refused at once, with what is wrong.
func TestBadTLSFiles(t *testing.T) {
	folder := t.TempDir()
	ca, err := tlstest.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	good, err := ca.Issue("node")
	if err != nil {
		t.Fatal(err)
	}
	nonsense := filepath.Join(folder, "nonsense")
	if err := os.WriteFile(nonsense, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for says, files := range map[string]rpc.TLS{
		"needs a certificate":     {CA: good.CA},
		"given together":          {Cert: good.Cert},
		"no such file":            {Cert: good.Cert + "x", Key: good.Key},
		"certificate " + nonsense: {Cert: nonsense, Key: good.Key},
		"no certificate of a CA":  {Cert: good.Cert, Key: good.Key, CA: nonsense},
		"of the CA":               {Cert: good.Cert, Key: good.Key, CA: nonsense + "x"},
	} {
		if _, err := files.ServerCredentials(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", files, err, says)
		}
	}
}
