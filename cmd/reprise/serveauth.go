package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/server"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// What --tls-client-auth may be; the words are Kafka's.
const (
	clientAuthRequired  = "required"
	clientAuthRequested = "requested"
)

// authentication is who the node lets in, and the first user that it makes.
func (f *serveFlags) authentication() (auth server.Auth, first *api.PutUserRequest, err error) {
	if (f.firstUser == "") != (f.firstPasswordFile == "") {
		return auth, nil, cli.Usagef("--first-user and --first-password-file belong together")
	}
	if f.superUsers != "" && !f.auth {
		return auth, nil, cli.Usagef("--super-users belongs to --auth: without it everyone may do everything")
	}
	auth.Required = f.auth
	for _, principal := range strings.Split(f.superUsers, ";") {
		if principal = strings.TrimSpace(principal); principal == "" {
			continue
		}
		// Subjects have commas of their own, so a comma in the place of a ; would go unseen.
		commas := strings.Contains(principal, ","+access.UserPrefix)
		if !access.ValidPrincipal(principal) || principal == access.Everyone || commas {
			return auth, nil, cli.Usagef("--super-users: %q is no principal; write User:NAME or User:SUBJECT, with ; between them", principal)
		}
		auth.SuperUsers = append(auth.SuperUsers, principal)
	}
	if f.peerSecretFile != "" {
		if auth.PeerSecret, err = readPassword("--peer-secret-file", f.peerSecretFile); err != nil {
			return auth, nil, err
		}
	}
	if f.auth && auth.PeerSecret == "" {
		if err := f.knownToPeers(auth.SuperUsers); err != nil {
			return auth, nil, err
		}
	}
	if f.firstUser == "" {
		return auth, nil, nil
	}
	password, err := readPassword("--first-password-file", f.firstPasswordFile)
	if err != nil {
		return auth, nil, err
	}
	if first, err = rpc.NewUser(f.firstUser, password); err != nil {
		return auth, nil, cli.Usagef("--first-user: %v", err)
	}
	return auth, first, nil
}

// knownToPeers reports whether other nodes will know this one by its certificate.
func (f *serveFlags) knownToPeers(superUsers []string) error {
	if f.files.CA == "" {
		return cli.Usagef("--auth: nodes have to know each other too; give all of them the same --peer-secret-file, or certificates of super users with --tls-ca")
	}
	pair, err := tls.LoadX509KeyPair(f.files.Cert, f.files.Key)
	if err != nil {
		return fmt.Errorf("--tls-cert: %w", err)
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("--tls-cert: %w", err)
	}
	if mine := access.UserPrefix + certificate.Subject.String(); !slices.Contains(superUsers, mine) {
		return cli.Usagef("--auth: other nodes know this one by its certificate, and its subject is no super user; add %q to --super-users, or give all nodes the same --peer-secret-file", mine)
	}
	return nil
}
