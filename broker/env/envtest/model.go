package envtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/prng"
)

// model is the slow obvious disk: a map of byte slices.
type model struct {
	files  map[string][]byte
	failed map[string]error
}

func (m *model) fail(name string, err error) {
	if m.failed[name] == nil {
		m.failed[name] = err
	}
}

// change makes one random call on both disks.
func (m *model) change(r *prng.Stream, d env.Disk, name string) {
	old, there := m.files[name]
	data := bytes.Repeat([]byte{byte(r.Below(256))}, int(r.Below(2000)))
	call := r.Below(10)
	if call > 0 && !there {
		m.fail(name, env.ErrNotExist)
	}
	position := r.Below(int64(len(old)) + 600)
	switch {
	case call == 0:
		d.Create(name, position)
		if there {
			m.fail(name, env.ErrExist)
		} else {
			m.files[name] = make([]byte, position)
		}
		return
	case call == 1:
		d.Remove(name)
		delete(m.files, name)
		return
	case call == 2:
		d.Truncate(name, position)
		old = append(old, make([]byte, 600)...)[:position]
	case call < 7:
		d.Append(name, data)
		old = append(old, data...)
	default:
		d.WriteAt(name, position, data)
		if need := position + int64(len(data)) - int64(len(old)); need > 0 && len(data) > 0 {
			old = append(old, make([]byte, need)...)
		}
		copy(old[min(position, int64(len(old))):], data)
	}
	if there {
		m.files[name] = old
	}
}

// testModel makes bursts of random calls and expects every answer to be the
// model's at the moment of the call.
func testModel(t *testing.T, w World) {
	const bursts, calls = 60, 30
	b := newBench(t, w)
	m := &model{files: make(map[string][]byte), failed: make(map[string]error)}
	names := []string{"a", "x/a", "x/b", "x/y/c"}
	for burst := range bursts {
		r := prng.New(uint64(burst))
		var checks []func()
		b.calls(func(d env.Disk) {
			for range calls {
				name := names[r.Below(int64(len(names)))]
				m.change(r, d, name)
				if r.Chance(1, 8) {
					checks = append(checks, b.checkSync(m, name))
				}
				if r.Chance(1, 4) {
					checks = append(checks, b.checkLoad(m, r, name))
				}
				if r.Chance(1, 16) {
					checks = append(checks, b.checkList(m))
				}
			}
		})
		for _, check := range checks {
			check()
		}
	}
}

func (b *bench) checkSync(m *model, name string) func() {
	ticket, want := b.ticket(), m.failed[name]
	if _, there := m.files[name]; !there && want == nil {
		want = env.ErrNotExist
	}
	delete(m.failed, name)
	b.disk.Sync(ticket, name)
	return func() {
		b.t.Helper()
		if err := b.syncedWith(ticket); !errors.Is(err, want) {
			b.t.Fatalf("sync %d of %s: %v, want %v", ticket, name, err, want)
		}
	}
}

func (b *bench) checkLoad(m *model, r *prng.Stream, name string) func() {
	ticket, want := b.ticket(), slices.Clone(m.files[name])
	_, there := m.files[name]
	position, length := r.Below(3000), int(r.Below(3000))
	b.disk.Load(ticket, name, position, length)
	want = want[min(position, int64(len(want))):]
	want = want[:min(length, len(want))]
	return func() {
		b.t.Helper()
		data, err := b.loadedWith(ticket)
		if there != (err == nil) || !there && !errors.Is(err, env.ErrNotExist) || !bytes.Equal(data, want) {
			b.t.Fatalf("load %d of %s: %d bytes, %v; want %d bytes, exists %v", ticket, name, len(data), err, len(want), there)
		}
	}
}

func (b *bench) checkList(m *model) func() {
	ticket := b.ticket()
	want := []string{}
	for _, name := range []string{"x/a", "x/b"} {
		if data, there := m.files[name]; there {
			want = append(want, fmt.Sprintf("%s:%d", name, len(data)))
		}
	}
	b.disk.List(ticket, "x/")
	return func() {
		b.t.Helper()
		var l listed
		b.await("the answer to a list", b.see(func() (ok bool) { l, ok = b.listed[ticket]; return ok }))
		got := []string{}
		for _, e := range l.entries {
			if e.Name != "x/y/" {
				got = append(got, fmt.Sprintf("%s:%d", e.Name, e.Size))
			}
		}
		if l.err != nil || !slices.Equal(got, want) {
			b.t.Fatalf("list %d: %v, %v; want %v", ticket, got, l.err, want)
		}
	}
}
