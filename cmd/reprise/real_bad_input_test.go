package main_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Exit codes, as the command documents them.
const (
	failed = 1
	usage  = 2
)

// badCommands are what makes no sense, and what is said of it.
var badCommands = []struct {
	args string
	code int
	says string
}{
	{"topic create ../../x", failed, "INVALID_TOPIC_NAME"},
	{"topic create .", failed, "INVALID_TOPIC_NAME"},
	{"topic create t", failed, "TOPIC_ALREADY_EXISTS"},
	{"topic create u --partitions 0", failed, "INVALID_PARTITIONS"},
	{"topic create u --partitions 100000000", failed, "INVALID_PARTITIONS"},
	{"topic create u --replicas 2", failed, "INVALID_REPLICATION_FACTOR"},
	{"topic create u --segment-bytes 1", failed, "INVALID_REQUEST"},
	{"topic describe nowhere", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"topic delete nowhere", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"produce --topic nowhere x", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"produce --topic t --partition 2 x", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"produce --topic t --partition -7 x", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"consume --topic nowhere --max 1", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"consume --topic t --partition 2 --max 1", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"consume --topic t --partition 0 --from 9223372036854775807 --max 1", failed, "OFFSET_OUT_OF_RANGE"},
	{"consume --topic t --partition 0 --from 2 --max 1", failed, "OFFSET_OUT_OF_RANGE"},
	{"topic delete-records --topic t --partition 0 --before 9223372036854775807", failed, "OFFSET_OUT_OF_RANGE"},
	{"topic delete-records --topic t --partition 0 --before -2", failed, "INVALID_REQUEST"},
	{"topic delete-records --topic t --partition 2 --before 0", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"producer describe --topic nowhere --partition 0", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"producer describe --topic t --partition -1", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"producer describe --topic t --partition 0 --max 2000000000", failed, "INVALID_REQUEST"},
	{"cluster elect --topic t --partition 2 --node 1", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"cluster elect --topic t --partition 0 --node 9", failed, "UNKNOWN_NODE"},
	{"cluster elect --meta --node 9", failed, "UNKNOWN_NODE"},
	{"cluster move --topic t --partition -1 --to 1", failed, "UNKNOWN_TOPIC_OR_PARTITION"},
	{"cluster move --topic t --partition 0 --to 9", failed, "UNKNOWN_NODE"},
	{"cluster remove --node 9", failed, "UNKNOWN_NODE"},
	{"cluster remove --node 1", failed, "NODE_HAS_REPLICAS"},

	{"topic create", usage, "the name of a topic"},
	{"topic nonsense", usage, "nonsense"},
	{"topic", usage, "one of its commands"},
	{"produce x", usage, "--topic"},
	{"produce --topic t --acks some x", usage, "--acks"},
	{"produce --topic t --compression rar x", usage, "--compression"},
	{"consume --topic t --from -5", usage, "--from"},
	{"consume --topic t --from 99999999999999999999", usage, "--from"},
	{"consume --topic t --max -1", usage, "--max"},
	{"consume --topic t --nonsense", usage, "--nonsense"},
	{"producer describe --topic t", usage, "--partition"},
	{"producer describe --partition 0", usage, "--topic"},
	{"producer describe --topic t --partition 0 --max -3", usage, "--max"},
	{"producer describe t", usage, "argument"},
	{"cluster elect --topic t --partition 0", usage, "--node"},
	{"cluster elect --topic t --partition 0 --node 1 --nobody", usage, "--nobody"},
	{"cluster elect --topic t --meta --node 1", usage, "--meta"},
	{"cluster move --topic t", usage, "--from"},
	{"cluster remove", usage, "--node"},
	{"topic delete-records --topic t --partition 0", usage, "--before"},
	{"topic list --timeout 0s", usage, "--timeout"},
}

// Commands that ask a cluster for what makes no sense are told so, and the cluster
// serves as before.
func TestRealBadCommands(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t", "--partitions", "2")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	for _, test := range badCommands {
		args := append(strings.Fields(test.args), "--bootstrap", c.bootstrap())
		if test.args == "topic nonsense" || test.args == "topic" {
			args = strings.Fields(test.args) // a group of commands has no flags
		}
		wantRefused(t, run(t, "", args...), test.args, test.code, test.says)
	}
	for _, args := range []string{"topic list", "topic list --bootstrap nonsense", "topic list --bootstrap 127.0.0.1:65536", "nonsense"} {
		wantRefused(t, run(t, "", strings.Fields(args)...), args, usage, "See 'reprise help'")
	}
	nobody := "topic list --timeout 1s --bootstrap " + freeAddress(t)
	wantRefused(t, run(t, "", strings.Fields(nobody)...), nobody, failed, "is a node running there?")
	c.wantServing("first")
}

// wantRefused checks that a command has failed with the code and the words that it
// should, without having shown its insides.
func wantRefused(t *testing.T, out outcome, what string, code int, says string) {
	t.Helper()
	if out.code != code || !strings.Contains(out.errors, says) || strings.Contains(out.errors, "goroutine") {
		t.Errorf("reprise %s: exit code %d, and it says\n%s\nwant %d and %q", what, out.code, out.errors, code, says)
	}
}

// wantServing checks that partition 0 of topic t still has its first record, and
// takes another.
func (c *cluster) wantServing(first string) {
	c.t.Helper()
	c.command("produce", "--topic", "t", "--partition", "0", "another")
	if out := c.command("consume", "--topic", "t", "--partition", "0", "--from", "earliest", "--max", "1"); out != first+"\n" {
		c.t.Errorf("the first record is %q, want %q", out, first)
	}
	for _, n := range c.nodes {
		if !n.process.running() {
			c.t.Errorf("node %d has ended:\n%s", n.id, n.process.printed())
		}
	}
}

// Whatever bytes come to a node's port, it lives on and serves.
func TestRealGarbageOnThePort(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise) // never fails
	preface := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	var all sync.WaitGroup
	for _, garbage := range []string{
		"", "\x00", string(noise), strings.Repeat("\xff", 1<<20), "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		preface, preface + string(noise), preface + settings + string(noise),
		preface + settings + "\xff\xff\xff\x01\x04\x00\x00\x00\x01",
		preface + settings + "\x00\x00\x04\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff",
	} {
		for range 4 {
			all.Go(func() { throw(t, c.nodes[0].address, garbage) })
		}
	}
	all.Wait()
	c.wantServing("first")
}

// throw sends bytes and reads until the node has had enough of it, or a while.
func throw(t *testing.T, address, garbage string) {
	const while = 2 * time.Second
	link, err := net.DialTimeout("tcp", address, settleTime)
	if err != nil {
		t.Error(err)
		return
	}
	defer link.Close()
	_ = link.SetDeadline(time.Now().Add(while)) // the node may close at any moment, so nothing here is an error
	_, _ = link.Write([]byte(garbage))
	answer := make([]byte, 1<<10)
	for {
		if _, err := link.Read(answer); err != nil {
			return
		}
	}
}

// A node that cannot run as it was asked to ends with a reason, and nothing that
// is there is harmed.
func TestRealUnusableNodes(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	member := c.nodes[0]
	fresh := filepath.Join(t.TempDir(), "fresh")
	notFolder := filepath.Join(t.TempDir(), "file")
	put(t, notFolder, "a file")
	journal := beginning(t, filepath.Join(member.data, "journal/00"))
	for _, test := range []struct {
		name, data, listen string
		flags              []string
		code               int
		says               string
	}{
		{"an empty folder without --init or --join", fresh, freeAddress(t), nil, failed, "found a new cluster with --init, or join one with --join"},
		{"--init and --join", fresh, freeAddress(t), []string{"--init", "--join", member.address}, usage, "not both"},
		{"--segment-bytes without --init", fresh, freeAddress(t), []string{"--segment-bytes", "4096"}, usage, "--segment-bytes belongs to --init"},
		{"a rate below 0", fresh, freeAddress(t), []string{"--init", "--copy-rate", "-1"}, usage, "--copy-rate"},
		{"a reserve below 0", fresh, freeAddress(t), []string{"--init", "--reserve-bytes", "-1"}, usage, "--reserve-bytes"},
		{"no port", fresh, "127.0.0.1", []string{"--init"}, usage, "no HOST:PORT"},
		{"absurd port", fresh, "127.0.0.1:99999", []string{"--init"}, usage, "no HOST:PORT"},
		{"an address that is not of this machine", fresh, "192.0.2.1:9001", []string{"--init", "--insecure"}, failed, "choose an address of this machine"},
		{"a port in use", fresh, member.address, []string{"--init"}, failed, "choose another port"},
		{"a folder in use", member.data, freeAddress(t), nil, failed, "another process is using it"},
		{"a folder that is a file", notFolder, freeAddress(t), []string{"--init"}, failed, "a file stands where a folder belongs"},
		{"a folder below a file", filepath.Join(notFolder, "data"), freeAddress(t), []string{"--init"}, failed, "a file stands where a folder belongs"},
		{"a file in place of the journal", with(t, "journal", "a file"), freeAddress(t), []string{"--init"}, failed, "a file stands where a folder of the node belongs"},
		{"a file in place of the groups", with(t, "groups", "a file"), freeAddress(t), []string{"--init"}, failed, "a file stands where a folder of the node belongs"},
		{"a folder in place of the identity", with(t, "identity/x", "a file"), freeAddress(t), []string{"--init"}, failed, "a folder stands where a file of the node belongs"},
		{"an identity of garbage beside a journal", with(t, "identity", "garbage", "journal/00", journal), freeAddress(t), []string{"--init"}, failed, "damaged"},
	} {
		args := append([]string{"serve", "--data", test.data, "--listen", test.listen}, test.flags...)
		wantRefused(t, run(t, "", args...), test.name, test.code, test.says)
	}
	c.wantServing("first")
}

// with makes a folder with files in it: their paths and contents, by turns.
func with(t *testing.T, files ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		put(t, filepath.Join(folder, files[i]), files[i+1])
	}
	return folder
}

// beginning is what stands first in a file.
func beginning(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data := make([]byte, 64<<10)
	if _, err := io.ReadFull(file, data); err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A node keeps out of a cluster that its data is not of, whether the cluster is
// ready when the node starts or not; and serves its own again.
func TestRealFolderOfAnotherCluster(t *testing.T) {
	mine, theirs := newCluster(t, 1), newCluster(t, 1)
	mine.command("topic", "create", "t")
	mine.command("produce", "--topic", "t", "--partition", "0", "first")
	n, other := mine.nodes[0], theirs.nodes[0]
	n.process.kill()
	other.process.kill()
	mine.serve(n, "--join", other.address)
	theirs.serve(other)
	if code := n.process.wait(); code != failed || !strings.Contains(n.process.printed(), "the data folder belongs to another cluster") {
		t.Errorf("exit code %d, want %d; the node said:\n%s", code, failed, n.process.printed())
	}
	mine.serve(n)
	mine.wantServing("first")
	if m := theirs.metadata(); len(m.Nodes) != 1 {
		t.Errorf("the other cluster has %v, want its one node", m.Nodes)
	}
}

// A node whose disk has less room than its reserve refuses records and says what to
// do; it serves what it has, and takes records again when its reserve is there.
func TestRealReserve(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	n := c.nodes[0]
	n.process.kill()
	c.serve(n, "--reserve-bytes", strconv.FormatInt(1<<60, 10))
	produce := "produce --topic t --partition 0 --timeout 2s x --bootstrap " + c.bootstrap()
	wantRefused(t, run(t, "", strings.Fields(produce)...), produce, failed, "STORAGE_FULL")
	if out := c.command("consume", "--topic", "t", "--partition", "0", "--from", "earliest", "--max", "1"); out != "first\n" {
		t.Errorf("the first record is %q", out)
	}
	n.process.kill()
	c.serve(n)
	c.wantServing("first")
}

// A node that is asked to stop does, with exit code 0, and what it held is there
// when it starts again.
func TestRealShutdown(t *testing.T) {
	c := newCluster(t, 1)
	c.command("topic", "create", "t")
	c.command("produce", "--topic", "t", "--partition", "0", "first")
	n := c.nodes[0]
	begun := time.Now()
	if code := n.process.terminate(); code != 0 {
		t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	t.Logf("the node stopped in %v", time.Since(begun).Round(time.Millisecond))
	c.serve(n)
	c.wantServing("first")
	if out := run(t, "", "--version"); out.code != 0 || out.output == "" {
		t.Errorf("--version: %+v", out)
	}
	if out := run(t, "", "help"); out.code != 0 || !strings.Contains(out.output, "serve") {
		t.Errorf("help: %+v", out)
	}
	lines := strings.Repeat("line\n", 1000)
	out := run(t, lines, "produce", "--topic", "t", "--partition", "0", "--bootstrap", c.bootstrap())
	if want := fmt.Sprintf("%d records acknowledged\n", 1000); out.output != want {
		t.Errorf("produce of 1000 lines printed %q and %q, want %q", out.output, out.errors, want)
	}
}
