package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"google.golang.org/grpc/credentials"
)

// TLS names the PEM files that secure connections. They are read again for every new
// connection, so a certificate is renewed by putting another in its place; while what is
// there is of no use, the last that was goes on.
type TLS struct {
	// Cert and Key are what this process shows of itself. A node needs them, for
	// connections accepted and, where there is a CA, for those it opens to its peers.
	Cert, Key string
	// CA signed what others show; "" is the system's for whoever connects. With one, a node
	// lets only those in that show a certificate of it: mutual TLS.
	CA string
	// Requested: a node with a CA also lets those in that show no certificate. They have
	// another way to say who they are.
	Requested bool
}

// Given reports whether there are any files.
func (t TLS) Given() bool { return t != TLS{} }

// ServerCredentials are those of a node.
func (t TLS) ServerCredentials() (Credentials, error) {
	if t.Cert == "" {
		return Credentials{}, errors.New("TLS: a node needs a certificate and its key")
	}
	c, err := t.ClientCredentials()
	return Credentials{Server: c.Client, Client: c.Client}, err
}

// ClientCredentials are those of a client.
func (t TLS) ClientCredentials() (Credentials, error) {
	r := &renewed{files: t}
	if err := r.read(); err != nil {
		return Credentials{}, err
	}
	return Credentials{Client: r}, nil
}

// load reads the files.
func (t TLS) load() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if (t.Cert == "") != (t.Key == "") {
		return nil, errors.New("TLS: a certificate and its key are given together, or neither")
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificate %s with key %s: %w", t.Cert, t.Key, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("TLS: certificates of the CA: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("TLS: %s holds no certificate of a CA in PEM", t.CA)
		}
		cfg.RootCAs, cfg.ClientCAs, cfg.ClientAuth = pool, pool, tls.RequireAndVerifyClientCert
		if t.Requested {
			cfg.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return cfg, nil
}

// renewed is the present state of TLS files, as credentials of both sides.
type renewed struct {
	files TLS
	mu    sync.Mutex
	last  *tls.Config // the last that was of use
}

var _ credentials.TransportCredentials = (*renewed)(nil)

func (r *renewed) read() error {
	cfg, err := r.files.load()
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.last = cfg
	}
	return err
}

func (r *renewed) now() credentials.TransportCredentials {
	_ = r.read() // files that are being replaced may not fit together: the last ones go on
	r.mu.Lock()
	defer r.mu.Unlock()
	return credentials.NewTLS(r.last)
}

// ClientHandshake is credentials.TransportCredentials.
func (r *renewed) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake is credentials.TransportCredentials.
func (r *renewed) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ServerHandshake(conn)
}

// Info is credentials.TransportCredentials.
func (r *renewed) Info() credentials.ProtocolInfo { return credentials.NewTLS(&tls.Config{}).Info() }

// Clone is credentials.TransportCredentials.
func (r *renewed) Clone() credentials.TransportCredentials { return r }

// OverrideServerName is credentials.TransportCredentials. The name is the address's.
func (r *renewed) OverrideServerName(string) error {
	return errors.New("TLS: the server's name is that of its address")
}
