package main_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
)

// settleTime is how long a cluster may take to do what nothing prevents. It is a
// bound for hangs, not a promise.
const settleTime = 45 * time.Second

// node is one `reprise serve`, in as many lives as the test gives it.
type node struct {
	id            uint64
	address, data string
	process       *process
}

// cluster is nodes, each in a process of its own.
type cluster struct {
	t      *testing.T
	folder string
	made   int
	// nodes are the members, alive or not.
	nodes []*node
	// client looks at the cluster; what it sees is not recorded.
	client *client.Client
}

// newCluster founds a cluster and has nodes join it. flags are for the founder.
func newCluster(t *testing.T, nodes int, flags ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, folder: t.TempDir()}
	t.Cleanup(c.explain)
	first := c.newNode()
	c.serve(first, append(flags, "--init")...)
	c.client = c.newClient(client.Config{Bootstrap: []string{first.address}})
	c.joined(first)
	for range nodes - 1 {
		c.join()
	}
	c.awaitMetaVoters(nodes)
	return c
}

// explain shows what the nodes said last, if the test failed.
func (c *cluster) explain() {
	const lines = 25
	if !c.t.Failed() {
		return
	}
	for _, n := range c.nodes {
		all := strings.Split(strings.TrimSpace(n.process.printed()), "\n")
		c.t.Logf("node %d at %s, last lines:\n%s", n.id, n.address, strings.Join(all[max(0, len(all)-lines):], "\n"))
	}
}

func (c *cluster) newNode() *node {
	c.made++
	return &node{address: freeAddress(c.t), data: filepath.Join(c.folder, "n"+strconv.Itoa(c.made))}
}

// serve begins a life of a node.
func (c *cluster) serve(n *node, flags ...string) {
	c.t.Helper()
	args := append([]string{"serve", "--data", n.data, "--listen", n.address}, flags...)
	n.process = start(c.t, n.data+".log", args...)
}

// join starts a fresh node, which joins through any of the others.
func (c *cluster) join() *node {
	c.t.Helper()
	n := c.newNode()
	c.serve(n, "--join", c.bootstrap())
	c.joined(n)
	return n
}

// joined waits until the cluster knows a node, and so which one it is.
func (c *cluster) joined(n *node) {
	c.t.Helper()
	await(c.t, settleTime, "node at "+n.address+" is a member", func() error {
		if !n.process.running() {
			return fmt.Errorf("it has ended")
		}
		m, err := c.look()
		if err != nil {
			return err
		}
		for _, info := range m.Nodes {
			if info.Address == n.address {
				n.id = info.Id
				return nil
			}
		}
		return fmt.Errorf("members are %v", m.Nodes)
	})
	c.nodes = append(c.nodes, n)
}

func (c *cluster) addresses() (list []string) {
	for _, n := range c.nodes {
		list = append(list, n.address)
	}
	return list
}

// bootstrap is the addresses as the flags take them.
func (c *cluster) bootstrap() string { return strings.Join(c.addresses(), ",") }

func (c *cluster) newClient(config client.Config) *client.Client {
	c.t.Helper()
	if config.Bootstrap == nil {
		config.Bootstrap = c.addresses()
	}
	cl, err := client.New(config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = cl.Close(ctx) // what is still under way is the test's to judge
	})
	return cl
}

// command runs a command that must succeed, and gives what it printed.
func (c *cluster) command(args ...string) string {
	c.t.Helper()
	out := run(c.t, "", append(args, "--bootstrap", c.bootstrap())...)
	if out.code != 0 {
		c.t.Fatalf("reprise %s: exit code %d\n%s%s", strings.Join(args, " "), out.code, out.output, out.errors)
	}
	return out.output
}

// look asks for what there is, once.
func (c *cluster) look(topics ...string) (*api.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return c.client.Metadata(ctx, topics...)
}

// metadata asks for what there is until there is an answer.
func (c *cluster) metadata(topics ...string) (m *api.MetadataResponse) {
	c.t.Helper()
	await(c.t, settleTime, "metadata", func() (err error) {
		m, err = c.look(topics...)
		return err
	})
	return m
}

func (c *cluster) describe(n *node) (*api.DescribeNodeResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return c.client.DescribeNode(ctx, n.address)
}

// node finds a member by its number.
func (c *cluster) node(id uint64) *node {
	c.t.Helper()
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.id == id })
	if i < 0 {
		c.t.Fatalf("no node %d among %v", id, c.addresses())
	}
	return c.nodes[i]
}

// leader waits until a partition has a leader that is a member.
func (c *cluster) leader(topic string, partition int) (leader *node) {
	c.t.Helper()
	await(c.t, settleTime, "a leader", func() error {
		m, err := c.look(topic)
		if err != nil {
			return err
		}
		id := m.Topics[0].Partitions[partition].Leader
		i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.id == id })
		if i < 0 {
			return fmt.Errorf("it is node %d", id)
		}
		leader = c.nodes[i]
		return nil
	})
	return leader
}

// ledBy lists the partitions of a topic that a node leads.
func (c *cluster) ledBy(n *node, topic string) (list []int) {
	c.t.Helper()
	for i, p := range c.metadata(topic).Topics[0].Partitions {
		if p.Leader == n.id {
			list = append(list, i)
		}
	}
	return list
}

// awaitMetaVoters waits until so many nodes have a vote in the meta group.
func (c *cluster) awaitMetaVoters(want int) {
	c.t.Helper()
	await(c.t, settleTime, fmt.Sprintf("%d voters of the meta group", want), func() error {
		m, err := c.look()
		if err != nil {
			return err
		}
		voters := 0
		for _, n := range m.Nodes {
			if n.MetaVoter {
				voters++
			}
		}
		if voters != want {
			return fmt.Errorf("there are %d", voters)
		}
		return nil
	})
}

// awaitCaughtUp waits until a node has applied all that the others' replicas had
// committed when it was asked for, in every group that it has a replica of.
func (c *cluster) awaitCaughtUp(n *node) {
	c.t.Helper()
	committed := make(map[uint64]uint64)
	for _, other := range c.nodes {
		if d, err := c.describe(other); err == nil && other != n {
			for _, g := range d.Groups {
				committed[g.Group] = max(committed[g.Group], g.Commit)
			}
		}
	}
	await(c.t, settleTime, fmt.Sprintf("node %d has caught up", n.id), func() error {
		d, err := c.describe(n)
		if err != nil {
			return err
		}
		for _, g := range d.Groups {
			if g.Applied < committed[g.Group] {
				return fmt.Errorf("group %d is at %d of %d", g.Group, g.Applied, committed[g.Group])
			}
		}
		return nil
	})
}

// segments reads the segment files of a node's replica of a group, by name.
func (c *cluster) segments(n *node, group uint64) map[string]string {
	c.t.Helper()
	paths, err := filepath.Glob(filepath.Join(n.data, "groups", strconv.FormatUint(group, 10), "*", "*.seg"))
	if err != nil {
		c.t.Fatal(err)
	}
	files := make(map[string]string)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // unlinked meanwhile
		}
		if err != nil {
			c.t.Fatal(err)
		}
		files[filepath.Base(path)] = string(data)
	}
	return files
}

// awaitSameSegments waits until two nodes' replicas of a group have the same bytes
// in every segment file that both hold, and at least as many as asked for.
func (c *cluster) awaitSameSegments(a, b *node, group uint64, least int) {
	c.t.Helper()
	await(c.t, settleTime, fmt.Sprintf("nodes %d and %d hold the same bytes of group %d", a.id, b.id, group), func() error {
		theirs, both := c.segments(b, group), 0
		for name, data := range c.segments(a, group) {
			other, ok := theirs[name]
			if !ok {
				continue
			}
			if both++; data != other {
				return fmt.Errorf("%s differs: %d and %d bytes", name, len(data), len(other))
			}
		}
		if both < least {
			return fmt.Errorf("they share %d files", both)
		}
		return nil
	})
}
