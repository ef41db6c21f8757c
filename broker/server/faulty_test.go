package server_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-mq/reprise/broker"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/osenv"
	"github.com/reprise-mq/reprise/broker/server"
)

// patience bounds what nothing prevents; it finds hangs.
const patience = 40 * time.Second

// faultyDisk stands between a node and its folder.
type faultyDisk struct {
	// full: no file grows and no folder is made. What is there can be written
	// over and removed, as on a real file system.
	full atomic.Bool
	// denied: nothing is opened, made, removed or listed. What is open stays so.
	denied atomic.Bool
	// short: the process has no more files to open with. What is open stays so.
	short atomic.Bool
	// little: the file system says that it has nothing left, and takes what comes.
	little atomic.Bool
	// refused counts what failed for it.
	refused atomic.Int64
}

// refuse is the operating system's error, if there is to be one.
func (d *faultyDisk) refuse(fault *atomic.Bool, cause error, doing, name string) error {
	if !fault.Load() {
		return nil
	}
	d.refused.Add(1)
	return &fs.PathError{Op: doing, Path: name, Err: cause}
}

func (d *faultyDisk) deny(doing, name string) error {
	return cmp.Or(d.refuse(&d.denied, syscall.EACCES, doing, name), d.refuse(&d.short, syscall.EMFILE, doing, name))
}

func (d *faultyDisk) fill(doing, name string) error {
	return d.refuse(&d.full, syscall.ENOSPC, doing, name)
}

func (d *faultyDisk) wrap(below osenv.FS) osenv.FS { return faultyFS{below, d} }

type faultyFS struct {
	osenv.FS
	disk *faultyDisk
}

func (f faultyFS) Open(name string, create bool) (osenv.File, error) {
	if err := f.disk.deny("open", name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, create)
	if err != nil {
		return nil, err
	}
	return faultyFile{file, f.disk, name}, nil
}

func (f faultyFS) MakeFolder(name string) error {
	if err := f.disk.deny("mkdir", name); err != nil {
		return err
	}
	if err := f.FS.MakeFolder(name); err != nil || !f.disk.full.Load() {
		return err // that it is there comes before that there is no room
	}
	return errors.Join(f.FS.Remove(name), f.disk.fill("mkdir", name))
}

func (f faultyFS) Remove(name string) error {
	if err := f.disk.deny("remove", name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f faultyFS) Free() (int64, error) {
	if f.disk.little.Load() {
		return 0, nil
	}
	return f.FS.Free()
}

func (f faultyFS) List(name string) ([]env.FileInfo, error) {
	if err := f.disk.deny("list", name); err != nil {
		return nil, err
	}
	return f.FS.List(name)
}

type faultyFile struct {
	osenv.File
	disk *faultyDisk
	name string
}

func (f faultyFile) WriteAt(data []byte, position int64) (int, error) {
	size, err := f.File.Size()
	if err != nil {
		return 0, err
	}
	fits := max(0, min(int64(len(data)), size-position))
	if fits == int64(len(data)) {
		return f.File.WriteAt(data, position)
	}
	if err := f.disk.fill("write", f.name); err != nil {
		n, writeErr := f.File.WriteAt(data[:fits], position)
		return n, errors.Join(writeErr, err)
	}
	return f.File.WriteAt(data, position)
}

func (f faultyFile) Truncate(size int64) error {
	old, err := f.File.Size()
	if err != nil {
		return err
	}
	if size > old {
		if err := f.disk.fill("truncate", f.name); err != nil {
			return err
		}
	}
	return f.File.Truncate(size)
}

// machine is a node's place: its folder, its disk and its address outlive the
// node's lives.
type machine struct {
	t       *testing.T
	disk    faultyDisk
	folder  string
	address string
	life    *server.Server
}

// begin starts a life of the node.
func (m *machine) begin(change func(*broker.Config)) {
	m.t.Helper()
	node := broker.DefaultConfig()
	node.JournalFileBytes, node.JournalFiles = 1<<20, 4
	node.SegmentBytes, node.CheckpointBytes = 32<<10, 64<<10
	change(&node)
	s, err := server.Start(server.Config{
		Node: node, Data: m.folder, Listen: m.address, Log: slog.New(slog.DiscardHandler), Disk: m.disk.wrap,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.life, m.address = s, s.Address()
}

// again starts another life, on what the last one left.
func (m *machine) again() {
	m.t.Helper()
	m.life.Kill()
	m.begin(func(*broker.Config) {})
}

// failure waits until the node has failed, and says why.
func (m *machine) failure() error {
	m.t.Helper()
	select {
	case <-m.life.Failed():
		return m.life.Err()
	case <-time.After(patience):
		m.t.Fatalf("the node goes on; its disk refused %d times", m.disk.refused.Load())
		return nil
	}
}

// cluster is nodes in this process, on disks that can fail.
type cluster struct {
	t        *testing.T
	machines []*machine
	client   *client.Client
	// values counts the records, each of which has a value of its own.
	values atomic.Int64
}

// newCluster starts nodes and makes topic "t" of one partition on all of them.
func newCluster(t *testing.T, nodes int) *cluster {
	t.Helper()
	c := &cluster{t: t}
	folder := t.TempDir()
	var bootstrap []string
	for i := range nodes {
		m := &machine{t: t, folder: filepath.Join(folder, fmt.Sprint(i)), address: "127.0.0.1:0"}
		m.begin(func(cfg *broker.Config) {
			if cfg.Init = i == 0; !cfg.Init {
				cfg.Join = []env.Endpoint{env.Endpoint(c.machines[0].address)}
			}
		})
		t.Cleanup(func() { m.life.Kill() })
		c.machines = append(c.machines, m)
		bootstrap = append(bootstrap, m.address)
	}
	cl, err := client.New(client.Config{Bootstrap: bootstrap})
	if err != nil {
		t.Fatal(err)
	}
	c.client = cl
	t.Cleanup(func() { _ = cl.Close(t.Context()) }) // the test has ended: nothing is waited for
	c.await("all nodes are members", func() error {
		m, err := c.look(time.Second)
		if err == nil && len(m.Nodes) != nodes {
			err = fmt.Errorf("there are %d", len(m.Nodes))
		}
		return err
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cl.CreateTopic(ctx, "t", client.TopicOptions{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *cluster) await(what string, done func() error) {
	c.t.Helper()
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Since(begun) > patience {
			c.t.Fatalf("after %v still not: %s: %v", patience, what, err)
		}
	}
}

func (c *cluster) look(limit time.Duration) (*api.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), limit)
	defer cancel()
	return c.client.Metadata(ctx)
}

// leader is the machine whose node leads the partition.
func (c *cluster) leader() (leader *machine) {
	c.t.Helper()
	c.await("a leader", func() error {
		m, err := c.look(time.Second)
		if err != nil {
			return err
		}
		for _, n := range m.Nodes {
			for _, machine := range c.machines {
				if n.Id == m.Topics[0].Partitions[0].Leader && n.Address == machine.address {
					leader = machine
					return nil
				}
			}
		}
		return fmt.Errorf("none of ours")
	})
	return leader
}

// elect makes a machine's node lead the partition.
func (c *cluster) elect(m *machine) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	if err := c.client.ElectLeader(ctx, "t", 0, uint64(m.life.Node())); err != nil {
		c.t.Fatal(err)
	}
	c.await("the elected node leads", func() error {
		if leader := c.leader(); leader != m {
			return fmt.Errorf("%s does", leader.address)
		}
		return nil
	})
}

// producers append until they are stopped, and remember what was acknowledged.
type producers struct {
	stopping context.CancelFunc
	ended    sync.WaitGroup
	mu       sync.Mutex
	acked    map[string]int64 // value to offset
	unknown  int
}

func (c *cluster) produce(callers int) *producers {
	const recordBytes, limit = 2 << 10, 2 * time.Second
	ctx, stop := context.WithCancel(context.Background())
	p := &producers{stopping: stop, acked: make(map[string]int64)}
	c.t.Cleanup(p.stop)
	for range callers {
		p.ended.Go(func() {
			for ctx.Err() == nil {
				value := fmt.Sprintf("%0*d", recordBytes, c.values.Add(1))
				limited, cancel := context.WithTimeout(context.Background(), limit)
				offset, err := c.client.Produce(limited, "t", 0, client.Record{Value: []byte(value)})
				cancel()
				p.note(value, offset, err)
			}
		})
	}
	return p
}

func (p *producers) note(value string, offset int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.unknown++
		return
	}
	p.acked[value] = offset
}

func (p *producers) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked)
}

// awaitMore waits until so many more records were acknowledged.
func (c *cluster) awaitMore(p *producers, more int) {
	c.t.Helper()
	want := p.count() + more
	c.await(fmt.Sprintf("%d acknowledgements more", more), func() error {
		if n := p.count(); n < want {
			return fmt.Errorf("there are %d of %d", n, want)
		}
		return nil
	})
}

func (p *producers) stop() {
	p.stopping()
	p.ended.Wait()
}

// wantAll checks that every acknowledged record stands at its offset, and no value
// anywhere twice.
func (c *cluster) wantAll(p *producers) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	log := make(map[string]int64)
	for next := int64(0); ; {
		got, err := c.client.Fetch(ctx, "t", 0, next, client.FetchOptions{})
		if err != nil {
			c.t.Fatal(err)
		}
		if len(got.Messages) == 0 {
			break
		}
		for _, m := range got.Messages {
			if first, twice := log[string(m.Value)]; twice {
				c.t.Errorf("the record at offset %d stands at %d too", first, m.Offset)
			}
			log[string(m.Value)] = int64(m.Offset)
			next = int64(m.Offset) + 1
		}
	}
	for value, offset := range p.acked {
		if at, ok := log[value]; !ok || at != offset {
			c.t.Fatalf("the record acknowledged at offset %d is at %d (%t)", offset, at, ok)
		}
	}
	c.t.Logf("%d records acknowledged, %d unknown, %d in the log", len(p.acked), p.unknown, len(log))
}
