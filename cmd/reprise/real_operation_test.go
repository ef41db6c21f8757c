package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/rpc/tlstest"
	"github.com/reprise-mq/reprise/broker/server"
)

// A node is set up by a file, a variable and flags, and says over HTTP how it is.
func TestRealMonitor(t *testing.T) {
	folder, listen, monitor := t.TempDir(), freeAddress(t), freeAddress(t)
	file := filepath.Join(folder, "node.yaml")
	settings := fmt.Sprintf("data: %s\nlisten: %s\ninit: true\nmonitor: 127.0.0.1:1\nlog-level: error\n", filepath.Join(folder, "data"), listen)
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REPRISE_LOG_LEVEL", "debug")
	p := start(t, filepath.Join(folder, "log"), "serve", "--config", file, "--monitor", monitor)
	await(t, 20*time.Second, "ready", func() error { return get(monitor, "/readyz", "ok") })
	for path, part := range map[string]string{"/healthz": "ok", "/metrics": "\nreprise_node_serves 1\n"} {
		if err := get(monitor, path, part); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(p.printed(), "level=INFO") {
		t.Errorf("the level of the file goes before that of the environment:\n%s", p.printed())
	}
	http.DefaultClient.CloseIdleConnections()
	watchers := make([]net.Conn, server.MaxMonitors)
	for i := range watchers {
		watchers[i] = watcher(t, monitor)
		if err := answered(watchers[i], 10*time.Second); err != nil {
			t.Fatalf("connection %d of the monitor: %v", i+1, err)
		}
	}
	further := watcher(t, monitor)
	if err := answered(further, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d connections of the monitor are open, and another is answered: %v", len(watchers), err)
	}
	watchers[0].Close()
	if err := answered(further, 10*time.Second); err != nil {
		t.Errorf("a connection of the monitor has ended, and the next is not answered: %v", err)
	}
	taken := run(t, "", "serve", "--data", filepath.Join(folder, "other"), "--listen", freeAddress(t), "--init", "--monitor", monitor)
	wantRefused(t, taken, "serve --monitor of another node", failed, "--monitor")
	if code := p.terminate(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.printed())
	}
	if err := get(monitor, "/healthz", ""); err == nil {
		t.Error("the monitor outlives its node")
	}
}

// watcher is a connection that asks whether a node is alive, and stays.
func watcher(t *testing.T, address string) net.Conn {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
	return c
}

// answered waits for the first byte of an answer.
func answered(c net.Conn, patience time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// get expects a page to be there and to hold some text.
func get(address, path, part string) error {
	r, err := http.Get("http://" + address + path)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err == nil && (r.StatusCode != http.StatusOK || !strings.Contains("\n"+string(body), part)) {
		err = fmt.Errorf("%s: %s\n%s\nwant %q", path, r.Status, body, part)
	}
	return err
}

// Two nodes and their clients talk in mutual TLS, and to nobody else.
func TestRealTLS(t *testing.T) {
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
	first, second := freeAddress(t), freeAddress(t)
	serve := func(name, address string, more ...string) {
		args := append([]string{"serve", "--data", filepath.Join(folder, name), "--listen", address}, more...)
		start(t, filepath.Join(folder, name+".log"), append(args, flags(name)...)...)
	}
	serve("n1", first, "--init")
	serve("n2", second, "--join", first)
	mine := flags("client")
	command := func(args ...string) outcome {
		return run(t, "", slices.Concat(args, []string{"--bootstrap", first, "--timeout", "2s"})...)
	}
	await(t, 20*time.Second, "two nodes", func() error {
		if out := command(append([]string{"cluster", "status"}, mine...)...); out.code != 0 || !strings.Contains(out.output, second) {
			return fmt.Errorf("%s%s", out.output, out.errors)
		}
		return nil
	})
	for _, args := range [][]string{
		{"topic", "create", "t", "--replicas", "2"},
		{"produce", "--topic", "t", "secret"},
		{"consume", "--topic", "t", "--from", "earliest", "--max", "1"},
	} {
		if out := command(append(args, mine...)...); out.code != 0 {
			t.Errorf("%v: %s", args, out.errors)
		}
	}
	wantRefused(t, command("topic", "list"), "topic list in plain text", failed, "TLS")
	wantRefused(t, command(append([]string{"topic", "list"}, mine[4:]...)...), "topic list without a certificate", failed, "TLS")
	wantRefused(t, command("topic", "list", "--tls-cert", "none"), "a certificate without a key", failed, "together")
}

// A node that other machines could reach in plain text is started only by whoever says so.
func TestRealInsecure(t *testing.T) {
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"0.0.0.0", "[::]", ""} {
		out := run(t, "", "serve", "--data", t.TempDir(), "--init", "--listen", host+":"+port)
		wantRefused(t, out, "serve at "+host, usage, "--insecure")
	}
	out := run(t, "", "serve", "--data", t.TempDir(), "--init", "--listen", "127.0.0.1:"+port, "--tls-ca", "ca.pem")
	wantRefused(t, out, "serve with a CA alone", usage, "--tls-cert")
}

// A node is drained and removed by hand; what scripts read is JSON.
func TestRealDrain(t *testing.T) {
	c := newCluster(t, 3)
	c.joined(c.join())
	c.command("topic", "create", "t", "--partitions", "3")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	var before, after clusterView
	c.status(&before)
	if len(before.Nodes) != 4 || len(before.Partitions) != 3 || before.Partitions[0].End == nil || *before.Partitions[0].End != 1 {
		t.Errorf("the cluster is described as %+v", before)
	}
	var topics []struct{ Name string }
	if err := json.Unmarshal([]byte(c.command("topic", "list", "--json")), &topics); err != nil || len(topics) != 1 || topics[0].Name != "t" {
		t.Errorf("topics %+v, %v", topics, err)
	}
	node := before.Partitions[0].Leader
	if out := c.command("cluster", "drain", "--node", fmt.Sprint(node), "--dry-run"); !strings.Contains(out, "t/0") {
		t.Errorf("the drain is planned as\n%s", out)
	}
	wantRefused(t, c.attempt("cluster", "remove", "--node", fmt.Sprint(node)), "cluster remove of a node with replicas", failed, "replicas")
	if out := c.command("cluster", "drain", "--node", fmt.Sprint(node)); !strings.Contains(out, " 0 replicas left") {
		t.Errorf("the drain says\n%s", out)
	}
	c.status(&after)
	for _, p := range after.Partitions {
		for _, r := range p.Replicas {
			if r.Node == node {
				t.Errorf("%s/%d is still on node %d", p.Topic, p.Partition, node)
			}
		}
	}
	c.command("cluster", "remove", "--node", fmt.Sprint(node))
	wantRefused(t, c.attempt("cluster", "drain", "--node", fmt.Sprint(node)), "cluster drain of a node that is out", failed, "no such node")
	wantRefused(t, c.attempt("cluster", "drain"), "cluster drain of nobody", usage, "--node")
	c.wantServing("first")
}

// The producers of a partition are shown, as a table and as JSON, from whichever node leads.
func TestRealProducers(t *testing.T) {
	c := newCluster(t, 3)
	c.command("topic", "create", "t")
	if out := c.command("producer", "describe", "--topic", "t", "--partition", "0", "--json"); !strings.Contains(out, `"producers": []`) {
		t.Errorf("of an empty partition: %s", out)
	}
	c.command("produce", "--topic", "t", "first")
	c.command("produce", "--topic", "t", "second")
	for _, n := range c.nodes {
		c.command("cluster", "elect", "--topic", "t", "--partition", "0", "--node", fmt.Sprint(n.id))
		var v struct {
			Known     int
			Producers []struct {
				Producer     int64
				LastSequence int32 `json:"last_sequence"`
				LastOffset   int64 `json:"last_offset"`
			}
		}
		out := c.command("producer", "describe", "--topic", "t", "--partition", "0", "--json")
		if err := json.Unmarshal([]byte(out), &v); err != nil || v.Known != 2 || len(v.Producers) != 2 ||
			v.Producers[0].LastOffset != 1 || v.Producers[1].LastOffset != 0 || v.Producers[0].LastSequence != 0 ||
			v.Producers[0].Producer == v.Producers[1].Producer {
			t.Errorf("node %d, error %v: %s", n.id, err, out)
		}
	}
	out := c.command("producer", "describe", "--topic", "t", "--partition", "0", "--max", "1")
	if lines := strings.Split(out, "\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "PRODUCER") || lines[2] != "and 1 more, which were used before these" {
		t.Errorf("the table is\n%s", out)
	}
}

// clusterView is what the tests need of 'cluster status --json'.
type clusterView struct {
	Nodes      []struct{ ID uint64 }
	Partitions []struct {
		Topic     string
		Partition int32
		Leader    uint64
		Replicas  []struct{ Node uint64 }
		End       *int64
	}
}

func (c *cluster) status(v *clusterView) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(c.command("cluster", "status", "--json")), v); err != nil {
		c.t.Fatal(err)
	}
}

// attempt runs a command that may fail.
func (c *cluster) attempt(args ...string) outcome {
	c.t.Helper()
	return run(c.t, "", append(args, "--bootstrap", c.bootstrap())...)
}
