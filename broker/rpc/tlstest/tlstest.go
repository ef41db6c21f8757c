// Package tlstest makes certificates for tests of TLS, with a certificate authority of
// their own, for 127.0.0.1.
package tlstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/reprise-mq/reprise/broker/rpc"
)

// Authority signs certificates.
type Authority struct {
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	issued      int64
}

// New makes an authority whose files, and those of what it issues, stand in a folder.
func New(folder string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Authority{folder: folder, key: key, certificate: template(1, "authority")}
	a.certificate.IsCA, a.certificate.KeyUsage = true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a.issued = 1
	return a, write(a.file("ca.pem"), "CERTIFICATE", der)
}

// Issue makes a certificate, in place of an earlier one of the same name, and gives the
// files that whoever shows it needs.
func (a *Authority) Issue(name string) (rpc.TLS, error) {
	files := rpc.TLS{Cert: a.file(name + ".pem"), Key: a.file(name + ".key"), CA: a.file("ca.pem")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, err
	}
	a.issued++
	der, err := x509.CreateCertificate(rand.Reader, template(a.issued, name), a.certificate, key.Public(), a.key)
	if err != nil {
		return files, err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return files, err
	}
	if err := write(files.Key, "PRIVATE KEY", plain); err != nil {
		return files, err
	}
	return files, write(files.Cert, "CERTIFICATE", der)
}

// Issued is the serial number of the last certificate.
func (a *Authority) Issued() int64 { return a.issued }

func (a *Authority) file(name string) string { return filepath.Join(a.folder, name) }

func template(serial int64, name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func write(file, kind string, der []byte) error {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", kind, err)
	}
	return nil
}
