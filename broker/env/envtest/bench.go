package envtest

import (
	"errors"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
)

// bench is a test at work on one node.
type bench struct {
	t     *testing.T
	world World
	host  Host
	*probe
	last env.Ticket
}

func newBench(t *testing.T, w World) *bench {
	p := newProbe(t)
	return &bench{t: t, world: w, host: w.Node(p.start), probe: p}
}

func (b *bench) ticket() env.Ticket {
	b.last++
	return b.last
}

// calls makes calls on the disk in one burst.
func (b *bench) calls(f func(d env.Disk)) {
	b.t.Helper()
	b.host.Do(func() { f(b.disk) })
}

func (b *bench) await(what string, done func() bool) {
	b.t.Helper()
	if !b.world.Until(done) {
		b.t.Fatalf("this never happened: %s", what)
	}
}

func (b *bench) sync(name string) error {
	b.t.Helper()
	t := b.ticket()
	b.calls(func(d env.Disk) { d.Sync(t, name) })
	return b.syncedWith(t)
}

func (b *bench) syncedWith(t env.Ticket) error {
	b.t.Helper()
	var err error
	b.await("the answer to a sync", b.see(func() (ok bool) { err, ok = b.synced[t]; return ok }))
	return err
}

func (b *bench) load(name string, position int64, length int) ([]byte, error) {
	b.t.Helper()
	t := b.ticket()
	b.calls(func(d env.Disk) { d.Load(t, name, position, length) })
	return b.loadedWith(t)
}

func (b *bench) loadedWith(t env.Ticket) ([]byte, error) {
	b.t.Helper()
	var l loaded
	b.await("the answer to a load", b.see(func() (ok bool) { l, ok = b.loaded[t]; return ok }))
	return l.data, l.err
}

func (b *bench) list(folder string) ([]env.FileInfo, error) {
	b.t.Helper()
	t := b.ticket()
	b.calls(func(d env.Disk) { d.List(t, folder) })
	var l listed
	b.await("the answer to a list", b.see(func() (ok bool) { l, ok = b.listed[t]; return ok }))
	return l.entries, l.err
}

// wantSync syncs and expects the error.
func (b *bench) wantSync(name string, want error) {
	b.t.Helper()
	if err := b.sync(name); !errors.Is(err, want) {
		b.t.Fatalf("sync of %q: %v, want %v", name, err, want)
	}
}

// wantFile expects a file to hold exactly that.
func (b *bench) wantFile(name, want string) {
	b.t.Helper()
	data, err := b.load(name, 0, len(want)+1)
	if err != nil || string(data) != want {
		b.t.Fatalf("%s holds %.80q (%d bytes), %v; want %.80q (%d bytes)", name, data, len(data), err, want, len(want))
	}
}

// wantNone expects that there is no such file.
func (b *bench) wantNone(name string) {
	b.t.Helper()
	if data, err := b.load(name, 0, 1); !errors.Is(err, env.ErrNotExist) {
		b.t.Fatalf("load of %s: %q, %v; want that it does not exist", name, data, err)
	}
}
