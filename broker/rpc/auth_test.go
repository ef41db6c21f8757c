package rpc_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/rpc"
	"github.com/reprise-mq/reprise/broker/rpc/tlstest"
	"github.com/reprise-mq/reprise/broker/server"
)

// guarded is the only node of a cluster, which asks clients who they are: by a certificate
// or, where that is only requested, by a password.
func guarded(t *testing.T, requested bool) *secured {
	s := &secured{t: t}
	var err error
	if s.ca, err = tlstest.New(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	s.node = s.issue("node")
	s.node.Requested = requested
	credentials, err := s.node.ServerCredentials()
	if err != nil {
		t.Fatal(err)
	}
	cfg := server.Config{
		Node: server.NodeConfig("v1"), Data: t.TempDir(), Listen: "127.0.0.1:0",
		Log: slog.New(slog.DiscardHandler), Credentials: credentials,
		Auth: server.Auth{Required: true, SuperUsers: []string{"User:CN=admin", "User:CN=node", "User:root"}},
	}
	cfg.Node.Init, cfg.Node.JournalFileBytes = true, 1<<20
	if cfg.Node.FirstUser, err = rpc.NewUser("root", "first password"); err != nil {
		t.Fatal(err)
	}
	node, err := server.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(node.Kill)
	s.address = node.Address()
	return s
}

// client that shows a certificate, if files have one, and a password, if there is a user.
func (s *secured) client(files rpc.TLS, user, password string) *client.Client {
	s.t.Helper()
	credentials, err := files.ClientCredentials()
	if err != nil {
		s.t.Fatal(err)
	}
	cl, err := client.New(client.Config{
		Bootstrap: []string{s.address}, Credentials: credentials, User: user, Password: password, Timeout: 10 * time.Second,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cl.Close(s.t.Context()) })
	return cl
}

// The subject of a certificate is a principal, like any user.
func TestCertificatesArePrincipals(t *testing.T) {
	s, ctx := guarded(t, false), t.Context()
	admin := s.client(s.issue("admin"), "", "")
	if err := admin.CreateTopic(ctx, "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	app := s.client(s.issue("app"), "", "")
	if _, err := app.Produce(ctx, "t", 0, client.Record{Value: []byte("x")}); !errors.Is(err, client.ErrTopicAuthorization) {
		t.Errorf("before it is allowed: %v", err)
	}
	if err := admin.CreateAcls(ctx, &api.Acl{Principal: "User:CN=app", Operation: api.Acl_WRITE, Resource: api.Acl_TOPIC,
		Name: "t", Pattern: api.Acl_LITERAL, Permission: api.Acl_ALLOW}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Produce(ctx, "t", 0, client.Record{Value: make([]byte, 200<<10)}); err != nil {
		t.Errorf("what is allowed: %v", err)
	}
	if err := app.DeleteTopic(ctx, "t"); !errors.Is(err, client.ErrTopicAuthorization) {
		t.Errorf("what is not allowed: %v", err)
	}
	// A password goes before the certificate of the connection.
	if _, err := s.client(s.issue("app"), "root", "first password").DescribeUsers(ctx); err != nil {
		t.Errorf("with the password of another: %v", err)
	}
	if _, err := s.client(s.issue("admin"), "root", "wrong").DescribeUsers(ctx); !errors.Is(err, client.ErrAuthentication) {
		t.Errorf("with a wrong password: %v", err)
	}
}

// Where a certificate is only requested, a password does in its place.
func TestPasswordsOverTLS(t *testing.T) {
	s, ctx := guarded(t, true), t.Context()
	only := rpc.TLS{CA: s.node.CA}
	var users []*api.UserInfo
	root := s.client(only, "root", "first password")
	for deadline := time.Now().Add(10 * time.Second); len(users) == 0 && time.Now().Before(deadline); {
		users, _ = root.DescribeUsers(ctx) // the first user is made within a second or so
	}
	if len(users) != 1 || users[0].Name != "root" {
		t.Fatalf("the users are %v", users)
	}
	if _, err := s.client(only, "", "").DescribeUsers(ctx); !errors.Is(err, client.ErrAuthentication) {
		t.Errorf("a client with neither: %v", err)
	}
	if err := root.CreateUser(ctx, "app", "one"); err != nil {
		t.Fatal(err)
	}
	if err := root.CreateUser(ctx, "app", "one"); !errors.Is(err, &client.Error{Code: api.Code_USER_ALREADY_EXISTS}) {
		t.Errorf("the same user again: %v", err)
	}
	app := s.client(only, "app", "one")
	if _, err := app.DescribeUsers(ctx); !errors.Is(err, client.ErrClusterAuthorization) {
		t.Errorf("a user whom nothing is allowed: %v", err)
	}
	if err := root.AlterUser(ctx, "app", "two"); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Metadata(ctx); !errors.Is(err, client.ErrAuthentication) {
		t.Errorf("with the old password: %v", err)
	}
	if _, err := s.client(only, "app", "two").Metadata(ctx); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if err := root.DeleteUser(ctx, "app"); err != nil {
		t.Fatal(err)
	}
	if err := root.DeleteUser(ctx, "app"); !errors.Is(err, &client.Error{Code: api.Code_UNKNOWN_USER}) {
		t.Errorf("a user who is gone: %v", err)
	}
	if err := root.CreateUser(ctx, "a b", "x"); !errors.Is(err, &client.Error{Code: api.Code_INVALID_REQUEST}) {
		t.Errorf("a bad name: %v", err)
	}
	if err := root.CreateUser(ctx, "app", ""); !errors.Is(err, &client.Error{Code: api.Code_INVALID_REQUEST}) {
		t.Errorf("no password: %v", err)
	}
}
