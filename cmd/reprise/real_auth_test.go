package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/rpc/tlstest"
)

// guarded is a cluster of processes that ask who one is.
type guarded struct {
	t         *testing.T
	folder    string
	bootstrap []string
	nodes     []*process
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{t: t, folder: t.TempDir()}
	for name, password := range map[string]string{"admin": "the first", "alice": "rabbit hole", "peers": "between nodes", "wrong": "guess"} {
		if err := os.WriteFile(g.file(name), []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := freeAddress(t)
	g.serve("n1", first, "peers", "--init", "--first-user", "admin", "--first-password-file", g.file("admin"))
	for _, name := range []string{"n2", "n3"} {
		g.serve(name, freeAddress(t), "peers", "--join", first)
	}
	await(t, 30*time.Second, "three nodes", func() error {
		if out := g.as("admin", "cluster", "status"); out.code != 0 || strings.Count(out.output, "127.0.0.1:") != 3 {
			return fmt.Errorf("%s%s", out.output, out.errors)
		}
		return nil
	})
	return g
}

func (g *guarded) file(name string) string { return filepath.Join(g.folder, name) }

func (g *guarded) serve(name, address, secret string, more ...string) *process {
	g.bootstrap = append(g.bootstrap, address)
	p := start(g.t, g.file(name+".log"), append([]string{"serve", "--data", g.file(name), "--listen", address, "--auth",
		"--super-users", "User:admin", "--peer-secret-file", g.file(secret)}, more...)...)
	g.nodes = append(g.nodes, p)
	return p
}

// flags of a user whose password is in the file of another name, or his own.
func (g *guarded) flags(user string, password ...string) []string {
	return []string{"--bootstrap", strings.Join(g.bootstrap, ","), "--timeout", "10s",
		"--user", user, "--password-file", g.file(append(password, user)[0])}
}

func (g *guarded) as(user string, args ...string) outcome {
	g.t.Helper()
	return run(g.t, "", slices.Concat(args, g.flags(user))...)
}

func (g *guarded) wantDone(user string, args ...string) string {
	g.t.Helper()
	out := g.as(user, args...)
	if out.code != 0 {
		g.t.Errorf("%s: reprise %v: exit code %d: %s", user, args, out.code, out.errors)
	}
	return out.output
}

func (g *guarded) wantDenied(says, user string, args ...string) {
	g.t.Helper()
	wantRefused(g.t, g.as(user, args...), strings.Join(args, " "), failed, says)
}

// Who shows no password, or a wrong one, is let in nowhere; and a user may do what ACLs
// allow, until they do not.
func TestRealAuth(t *testing.T) {
	g := newGuarded(t)
	const noOne = "SASL_AUTHENTICATION_FAILED"
	list := []string{"topic", "list"}
	wantRefused(t, run(t, "", "topic", "list", "--bootstrap", g.bootstrap[1], "--timeout", "5s"), "topic list as nobody", failed, noOne)
	wantRefused(t, run(t, "", slices.Concat(list, g.flags("admin", "wrong"))...), "topic list with a wrong password", failed, noOne)
	wantRefused(t, run(t, "", slices.Concat(list, g.flags("eve", "wrong"))...), "topic list as an unknown user", failed, noOne)

	g.wantDone("admin", "topic", "create", "orders", "--partitions", "2")
	g.wantDone("admin", "topic", "create", "secret")
	g.wantDone("admin", "user", "create", "alice", "--new-password-file", g.file("alice"))
	g.wantDenied("USER_ALREADY_EXISTS", "admin", "user", "create", "alice", "--new-password-file", g.file("alice"))
	if out := g.wantDone("admin", "user", "list", "--json"); !strings.Contains(out, "alice") || strings.Contains(out, "rabbit") {
		t.Errorf("the users are %s", out)
	}
	g.wantDenied("TOPIC_AUTHORIZATION_FAILED", "alice", "produce", "--topic", "orders", "x")
	g.wantDenied("TOPIC_AUTHORIZATION_FAILED", "alice", "consume", "--topic", "orders", "--from", "earliest", "--max", "1")
	g.wantDenied("TOPIC_AUTHORIZATION_FAILED", "alice", "topic", "delete", "orders")
	g.wantDenied("TOPIC_AUTHORIZATION_FAILED", "alice", "topic", "create", "more")
	for _, args := range [][]string{
		{"cluster", "status"}, {"cluster", "remove", "--node", "3"}, {"user", "list"}, {"acl", "list"},
		{"user", "alter", "admin", "--new-password-file", g.file("alice")},
		{"acl", "add", "--principal", "User:alice", "--operation", "all", "--topic", "*"},
	} {
		g.wantDenied("CLUSTER_AUTHORIZATION_FAILED", "alice", args...)
	}
	g.allowed()
	g.revoked()
}

// allowed has alice do what she may, and nothing else.
func (g *guarded) allowed() {
	t := g.t
	g.wantDone("admin", "acl", "add", "--principal", "User:alice", "--operation", "read,write", "--topic", "or", "--prefixed")
	g.wantDone("alice", "produce", "--topic", "orders", "x")
	if out := g.wantDone("alice", "consume", "--topic", "orders", "--from", "earliest", "--max", "1"); out != "x\n" {
		t.Errorf("alice reads %q", out)
	}
	if out := g.wantDone("alice", "topic", "list"); !strings.Contains(out, "orders") || strings.Contains(out, "secret") {
		t.Errorf("alice is shown the topics\n%s", out)
	}
	member := []string{"consume", "--topic", "orders", "--from", "earliest", "--max", "1", "--group", "billing"}
	g.wantDenied("GROUP_AUTHORIZATION_FAILED", "alice", member...)
	g.wantDone("admin", "acl", "add", "--principal", "User:alice", "--operation", "read", "--group", "billing")
	if out := g.wantDone("alice", member...); out != "x\n" {
		t.Errorf("in a group alice reads %q", out)
	}
	g.wantDone("admin", "consume", "--topic", "orders", "--from", "earliest", "--max", "1", "--group", "other")
	if out := g.wantDone("alice", "group", "list"); !strings.Contains(out, "billing") || strings.Contains(out, "other") {
		t.Errorf("alice is shown the groups\n%s", out)
	}
	g.wantDenied("GROUP_AUTHORIZATION_FAILED", "alice", "group", "delete", "billing")
	g.wantDenied("GROUP_AUTHORIZATION_FAILED", "alice", "group", "describe", "other")
	g.wantDone("alice", "group", "describe", "billing")
	// Also out of the environment.
	command := exec.Command(binary(t, product), "topic", "describe", "orders", "--bootstrap", g.bootstrap[2])
	command.Env = append(os.Environ(), "REPRISE_USER=alice", "REPRISE_PASSWORD=rabbit hole")
	if out := runTo(t, command, ""); out.code != 0 || !strings.Contains(out.output, "orders") {
		t.Errorf("by the environment: %s%s", out.output, out.errors)
	}
}

// revoked takes from alice what she may, while she uses it.
func (g *guarded) revoked() {
	t := g.t
	follow := start(t, g.file("follow.log"), slices.Concat([]string{"consume", "--topic", "orders", "--partition", "0", "--from", "latest"}, g.flags("alice"))...)
	await(t, 20*time.Second, "what alice follows", func() error {
		g.wantDone("admin", "produce", "--topic", "orders", "--partition", "0", "followed")
		if !strings.Contains(follow.printed(), "followed") {
			return fmt.Errorf("she reads %q", follow.printed())
		}
		return nil
	})
	g.wantDone("admin", "acl", "add", "--principal", "User:alice", "--operation", "read", "--topic", "orders", "--deny")
	if code := follow.wait(); code != failed || !strings.Contains(follow.printed(), "TOPIC_AUTHORIZATION_FAILED") {
		t.Errorf("alice is denied what she follows: exit code %d, %s", code, follow.printed())
	}
	g.wantDone("alice", "produce", "--topic", "orders", "y")
	if out := g.wantDone("admin", "acl", "list", "--deny"); strings.Count(out, "alice") != 1 || !strings.Contains(out, "deny") {
		t.Errorf("what is denied:\n%s", out)
	}
	wantRefused(t, g.as("admin", "acl", "remove"), "acl remove", usage, "--all")
	if out := g.wantDone("admin", "acl", "remove", "--principal", "User:alice", "--json"); strings.Count(out, "User:alice") != 4 {
		t.Errorf("removed are\n%s", out)
	}
	g.wantDenied("TOPIC_AUTHORIZATION_FAILED", "alice", "produce", "--topic", "orders", "z")
	if err := os.WriteFile(g.file("new"), []byte("looking glass"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.wantDone("admin", "user", "alter", "alice", "--new-password-file", g.file("new"))
	g.wantDenied("SASL_AUTHENTICATION_FAILED", "alice", "topic", "list")
	if out := run(t, "", slices.Concat([]string{"topic", "list"}, g.flags("alice", "new"))...); out.code != 0 {
		t.Errorf("with the new password: %s", out.errors)
	}
	g.wantDone("admin", "user", "delete", "alice")
	wantRefused(t, run(t, "", slices.Concat([]string{"topic", "list"}, g.flags("alice", "new"))...), "topic list as who was deleted", failed, "SASL_AUTHENTICATION_FAILED")
}

// A node that does not know what the others know is not let in, and both sides say so.
// Users and ACLs outlive the nodes' processes.
func TestRealPeerSecret(t *testing.T) {
	g := newGuarded(t)
	g.wantDone("admin", "user", "create", "alice", "--new-password-file", g.file("alice"))
	g.wantDone("admin", "acl", "add", "--principal", "User:alice", "--operation", "describe", "--cluster")
	stranger := g.serve("n4", freeAddress(t), "wrong", "--join", g.bootstrap[0])
	g.bootstrap = g.bootstrap[:3]
	await(t, 20*time.Second, "a word about the stranger", func() error {
		if log := stranger.printed(); !strings.Contains(log, "does not let this one in") {
			return fmt.Errorf("it says %q", log)
		}
		data, err := os.ReadFile(g.file("n1.log"))
		if !strings.Contains(string(data), "another peer secret") {
			return fmt.Errorf("node 1 says %s, %v", data, err)
		}
		return nil
	})
	if out := g.wantDone("alice", "cluster", "status"); strings.Count(out, "127.0.0.1:") != 3 {
		t.Errorf("the nodes are\n%s", out)
	}
	stranger.kill()
	for _, p := range g.nodes {
		p.kill()
	}
	addresses := g.bootstrap
	g.bootstrap = nil
	for i, address := range addresses {
		g.serve(fmt.Sprint("n", i+1), address, "peers")
	}
	await(t, 30*time.Second, "alice is known again", func() error {
		if out := g.as("alice", "cluster", "status"); out.code != 0 {
			return fmt.Errorf("%s", out.errors)
		}
		return nil
	})
	g.wantDenied("CLUSTER_AUTHORIZATION_FAILED", "alice", "cluster", "remove", "--node", "3")
}

// Nodes know each other by certificates of super users; whose certificate is no super user's
// is no node to them, whatever it thinks of itself.
func TestRealPeersByCertificate(t *testing.T) {
	folder := t.TempDir()
	ca, err := tlstest.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	flags := func(name string) []string {
		files, err := ca.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		return []string{"--tls-cert", files.Cert, "--tls-key", files.Key, "--tls-ca", files.CA}
	}
	serve := func(name, address, supers string, more ...string) *process {
		args := []string{"serve", "--data", filepath.Join(folder, name), "--listen", address, "--auth", "--super-users", supers}
		return start(t, filepath.Join(folder, name+".log"), slices.Concat(args, more, flags(name))...)
	}
	first, second, third := freeAddress(t), freeAddress(t), freeAddress(t)
	const supers = "User:CN=n1;User:CN=n2"
	serve("n1", first, supers, "--init")
	serve("n2", second, supers, "--join", first)
	stranger := serve("n3", third, "User:CN=n3", "--join", first)
	status := append([]string{"cluster", "status", "--bootstrap", first, "--timeout", "5s"}, flags("n1")...)
	await(t, 30*time.Second, "two nodes, and a word about the third", func() error {
		if out := run(t, "", status...); out.code != 0 || !strings.Contains(out.output, second) {
			return fmt.Errorf("%s%s", out.output, out.errors)
		}
		if log, err := os.ReadFile(filepath.Join(folder, "n1.log")); !strings.Contains(string(log), "a peer is not let in") {
			return fmt.Errorf("node 1 says %s, %v", log, err)
		}
		return nil
	})
	if out := run(t, "", status...); strings.Contains(out.output, third) || !stranger.running() {
		t.Errorf("the stranger has joined, or ended: %s%s", out.output, stranger.printed())
	}
	out := run(t, "", slices.Concat([]string{"serve", "--data", folder, "--init", "--listen", third, "--auth", "--super-users", "User:CN=n1"}, flags("n9"))...)
	wantRefused(t, out, "serve with a certificate that is no super user's", usage, "User:CN=n9")
}

// What makes no sense about who is let in is refused at once.
func TestRealAuthFlags(t *testing.T) {
	folder := t.TempDir()
	secret, empty := filepath.Join(folder, "secret"), filepath.Join(folder, "empty")
	for name, text := range map[string]string{secret: "word", empty: "\nword"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for says, args := range map[string][]string{
		"--peer-secret-file":         {"--auth"},
		"belongs to --auth":          {"--super-users", "User:a"},
		"is no principal":            {"--auth", "--peer-secret-file", secret, "--super-users", "a"},
		"with ; between them":        {"--auth", "--peer-secret-file", secret, "--super-users", "User:a,User:b"},
		"no such file":               {"--auth", "--peer-secret-file", secret + "x"},
		"is empty":                   {"--auth", "--peer-secret-file", empty},
		"belong together":            {"--auth", "--peer-secret-file", secret, "--first-user", "a"},
		"cannot name a user":         {"--auth", "--peer-secret-file", secret, "--first-user", "a b", "--first-password-file", secret},
		"neither required nor":       {"--tls-client-auth", "requested"},
		"and do everything":          {"--listen", "0.0.0.0:1"},
		"give --tls-cert and --tls-": {"--listen", "0.0.0.0:1", "--peer-secret-file", secret},
	} {
		out := run(t, "", append([]string{"serve", "--data", folder, "--init", "--listen", "127.0.0.1:1"}, args...)...)
		wantRefused(t, out, fmt.Sprint(args), usage, says)
	}
	for says, args := range map[string][]string{
		"--password-file needs --user": {"--password-file", secret},
		"the password of user":         {"--user", "a"},
		"is empty":                     {"--user", "a", "--password-file", empty},
	} {
		wantRefused(t, run(t, "", append([]string{"topic", "list", "--bootstrap", "127.0.0.1:1"}, args...)...), fmt.Sprint(args), usage, says)
	}
	for says, args := range map[string][]string{
		"acl add needs":         {"acl", "add", "--principal", "User:a", "--operation", "read"},
		"means nothing on":      {"acl", "add", "--principal", "User:a", "--operation", "write", "--group", "g"},
		"is none of all":        {"acl", "add", "--principal", "User:a", "--operation", "fly", "--topic", "t"},
		"allows and denies":     {"acl", "list", "--allow", "--deny"},
		"password is missing":   {"user", "create", "a"},
		"needs one of its comm": {"user"},
	} {
		wantRefused(t, run(t, "", args...), fmt.Sprint(args), usage, says)
	}
}
