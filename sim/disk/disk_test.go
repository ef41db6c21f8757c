package disk

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/agenda"
)

// heard is a process that notes the answers it gets.
type heard struct {
	synced map[env.Ticket]error
	order  []env.Ticket
	loaded map[env.Ticket][]byte
	listed map[env.Ticket][]env.FileInfo
}

func newHeard() *heard {
	return &heard{
		synced: make(map[env.Ticket]error), loaded: make(map[env.Ticket][]byte),
		listed: make(map[env.Ticket][]env.FileInfo),
	}
}

func (h *heard) Synced(t env.Ticket, err error) {
	h.synced[t] = err
	h.order = append(h.order, t)
}
func (h *heard) Loaded(t env.Ticket, data []byte, err error) {
	h.loaded[t] = data
	h.order = append(h.order, t)
}
func (h *heard) Listed(t env.Ticket, entries []env.FileInfo, _ error) { h.listed[t] = entries }
func (h *heard) Wake()                                                {}
func (h *heard) Receive(env.Endpoint, *api.Message)                   {}
func (h *heard) Lost(env.Endpoint)                                    {}
func (h *heard) Flush()                                               {}

type unwatched struct{}

func (unwatched) Called(Operation)  {}
func (unwatched) Durable(Operation) {}

// model is a disk written the slow way: for each byte of a file, the values that
// it may have after a crash.
type model struct {
	seen    map[string][]byte
	history map[string][]image // of the file that has the name now
	synced  map[string]int     // images before this one cannot come back
	named   map[string]bool    // the name is sure to be there
	unnamed map[string]bool    // the name is sure not to be there
}

type image []byte

func (m *model) write(name string, position int, data []byte) {
	b := slices.Clone(m.seen[name])
	if end := position + len(data); end > len(b) {
		b = append(b, make([]byte, end-len(b))...)
	}
	copy(b[position:], data)
	m.set(name, b)
}

func (m *model) set(name string, b []byte) {
	m.seen[name] = b
	m.history[name] = append(m.history[name], b)
}

// check holds what a crash left against what it may have left.
func (m *model) check(t *rapid.T, d *Disk) {
	left := d.Names()
	for name := range m.named {
		if m.unnamed[name] {
			t.Fatalf("model: %s is both named and not", name)
		}
		if m.seen[name] != nil && !slices.Contains(left, name) {
			t.Fatalf("%s is gone though its name was synced", name)
		}
	}
	for _, name := range left {
		if m.unnamed[name] {
			t.Fatalf("%s is back though its removal was synced", name)
		}
		if m.seen[name] == nil {
			continue // a removal that did not last; its contents are not modelled
		}
		possible := m.history[name][m.synced[name]:]
		for i, b := range d.Contents(name) {
			if !slices.ContainsFunc(possible, func(im image) bool { return i >= len(im) && b == 0 || i < len(im) && im[i] == b }) {
				t.Fatalf("%s: byte %d is %d, which nobody wrote", name, i, b)
			}
		}
		if !slices.ContainsFunc(possible, func(im image) bool { return len(d.Contents(name)) >= len(im) }) {
			t.Fatalf("%s is shorter than anything since its last sync", name)
		}
	}
}

// machine is one life of a process on a disk and the model beside it.
type machine struct {
	t      *rapid.T
	clock  *agenda.Agenda
	disk   *Disk
	handle *Handle
	heard  *heard
	model  *model
	ticket env.Ticket
	fill   byte
}

var names = []string{"a/x", "a/y", "a/b/z", "w"}

func begin(t *rapid.T, clock *agenda.Agenda, d *Disk) *machine {
	m := &machine{t: t, clock: clock, disk: d, heard: newHeard(), model: &model{
		seen: map[string][]byte{}, history: map[string][]image{}, synced: map[string]int{},
		named: map[string]bool{}, unnamed: map[string]bool{},
	}}
	m.handle = d.Open(func(f func(env.Process)) { f(m.heard) })
	for _, name := range d.Names() {
		m.model.set(name, append([]byte{}, d.Contents(name)...))
		m.model.named[name] = true
	}
	return m
}

// call makes one random call on the disk and the model.
func (m *machine) call() {
	name := rapid.SampledFrom(names).Draw(m.t, "name")
	there := m.model.seen[name] != nil
	switch rapid.IntRange(0, 7).Draw(m.t, "call") {
	case 0:
		m.create(name, there)
	case 1, 2:
		data, at := m.data(), rapid.IntRange(0, 2000).Draw(m.t, "position")
		m.handle.WriteAt(name, int64(at), data)
		if there {
			m.model.write(name, at, data)
		}
	case 3:
		data := m.data()
		m.handle.Append(name, data)
		if there {
			m.model.write(name, len(m.model.seen[name]), data)
		}
	case 4:
		size := rapid.Int64Range(0, 3000).Draw(m.t, "size")
		m.handle.Truncate(name, size)
		if there {
			m.model.set(name, resize(slices.Clone(m.model.seen[name]), size))
		}
	case 5:
		m.handle.Remove(name)
		delete(m.model.seen, name)
		delete(m.model.named, name)
	default:
		m.sync(name, there)
	}
	if now := m.model.seen[name]; !bytes.Equal(now, m.disk.Contents(name)) {
		m.t.Fatalf("%s: the process sees %d bytes, the model %d", name, len(m.disk.Contents(name)), len(now))
	}
}

func (m *machine) data() []byte {
	m.fill++
	return bytes.Repeat([]byte{m.fill}, rapid.IntRange(1, 3000).Draw(m.t, "length"))
}

func (m *machine) create(name string, there bool) {
	m.handle.Create(name, 700)
	if there {
		return
	}
	if m.model.unnamed[name] || m.model.history[name] == nil {
		// Otherwise the file of before may yet come back.
		m.model.history[name], m.model.synced[name] = nil, 0
	}
	delete(m.model.unnamed, name)
	m.model.history[name] = append(m.model.history[name], image{})
	m.model.set(name, make([]byte, 700))
}

// sync syncs a file and its folder, and perhaps waits for both.
func (m *machine) sync(name string, there bool) {
	m.ticket++
	file, folder := m.ticket, m.ticket+1000
	m.handle.Sync(file, name)
	m.handle.Sync(folder, parent(name))
	if !rapid.Bool().Draw(m.t, "wait") {
		return
	}
	for m.clock.Next(m.clock.Now() + env.Second) {
	}
	if _, ok := m.heard.synced[file]; !ok {
		m.t.Fatal("a sync was not answered")
	}
	if there && m.heard.synced[file] == nil {
		m.model.synced[name] = len(m.model.history[name]) - 1
	}
	if m.heard.synced[folder] == nil {
		m.model.settle(parent(name))
	}
}

// settle makes the names in a folder certain as they are.
func (m *model) settle(folder string) {
	for _, name := range names {
		if parent(name) != folder {
			continue
		}
		delete(m.named, name)
		delete(m.unnamed, name)
		if m.seen[name] != nil {
			m.named[name] = true
		} else {
			m.unnamed[name] = true
		}
	}
}

// After any calls and any crash, what an answered sync covered is there, and
// nothing else is than what was once written.
func TestCrashKeepsWhatWasSynced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := agenda.New()
		d := New(clock, rapid.Uint64().Draw(t, "seed"), Normal, unwatched{})
		for range rapid.IntRange(1, 3).Draw(t, "lives") {
			m := begin(t, clock, d)
			for range rapid.IntRange(0, 30).Draw(t, "calls") {
				m.call()
			}
			lose := rapid.Int64Range(0, 100).Draw(t, "lose")
			d.PowerOff(Crash{Lose: lose, Mix: rapid.Int64Range(0, 100-lose).Draw(t, "mix"), Tear: 50})
			m.model.check(t, d)
		}
	})
}

// A killed process finds everything again, but it is no safer than before.
func TestKillLeavesDirtyPages(t *testing.T) {
	d := New(agenda.New(), 1, Normal, unwatched{})
	disk := d.Open(func(func(env.Process)) {})
	disk.Create("x", 0)
	disk.Append("x", []byte("dirty"))
	d.Kill()
	disk.Append("x", []byte("ghost"))
	if got := string(d.Contents("x")); got != "dirty" {
		t.Fatalf("after a kill: %q", got)
	}
	d.Open(func(func(env.Process)) {})
	d.PowerOff(Crash{Lose: 100})
	if d.Contents("x") != nil {
		t.Fatal("unsynced data survived a power failure that loses everything")
	}
}

// Every way a write can end is met: whole, not at all, and with any part missing.
func TestTornWrites(t *testing.T) {
	shapes := make(map[string]bool)
	for seed := range uint64(300) {
		clock := agenda.New()
		d := New(clock, seed, Normal, unwatched{})
		disk := d.Open(func(func(env.Process)) {})
		disk.Create("x", 3*sector)
		disk.Sync(1, "x")
		disk.Sync(2, "")
		for clock.Next(env.Second) {
		}
		disk.WriteAt("x", 0, bytes.Repeat([]byte{1}, 3*sector))
		d.PowerOff(Crash{Mix: 100, Tear: 50})
		b := d.Contents("x")
		shapes[fmt.Sprint(b[0], b[sector], b[2*sector])] = true
	}
	if len(shapes) != 8 {
		t.Fatalf("only these shapes of a torn write were met: %v", shapes)
	}
}

// Answers of one file come in call order, whatever stalls and slow spells do.
func TestStallKeepsOrder(t *testing.T) {
	clock := agenda.New()
	h := newHeard()
	d := New(clock, 3, Normal, unwatched{})
	disk := d.Open(func(f func(env.Process)) { f(h) })
	disk.Create("x", 0)
	for i := range env.Ticket(50) {
		if i == 10 {
			d.Stall(clock.Now() + 50*env.Millisecond)
		}
		d.Slow(int64(i % 7))
		disk.Append("x", []byte{byte(i)})
		disk.Sync(i, "x")
		clock.Next(clock.Now() + env.Millisecond)
	}
	for clock.Next(clock.Now() + env.Second) {
	}
	if len(h.order) != 50 || !slices.IsSorted(h.order) {
		t.Fatalf("answers came as %v", h.order)
	}
}

// A disk that fills up takes what fits, says so at the next sync, and keeps what was
// there; when there is room again it takes everything.
func TestFill(t *testing.T) {
	a := agenda.New()
	d := New(a, 1, Normal, unwatched{})
	h := newHeard()
	disk := d.Open(func(f func(env.Process)) { f(h) })
	sync := func(ticket env.Ticket, name string) error {
		disk.Sync(ticket, name)
		for a.Next(a.Now() + env.Second) {
		}
		return h.synced[ticket]
	}
	disk.Create("a", 0)
	disk.Append("a", []byte("there"))
	d.Fill(3)
	if free := disk.Free(); free != 3 {
		t.Fatalf("%d bytes are free, want 3", free)
	}
	disk.WriteAt("a", 0, []byte("THERE"))
	if err := sync(1, "a"); err != nil {
		t.Errorf("writing over what is there: %v", err)
	}
	disk.Append("a", []byte("12345"))
	disk.Create("b", 1)
	disk.Truncate("a", 100)
	for i, name := range []string{"a", "b"} {
		if err := sync(env.Ticket(2+i), name); !errors.Is(err, env.ErrNoSpace) {
			t.Errorf("sync of %s: %v, want that there is no room", name, err)
		}
	}
	if got := string(d.Contents("a")); got != "THERE123" {
		t.Errorf("the file holds %q", got)
	}
	d.Fill(-1)
	disk.Append("a", []byte("45"))
	if err := sync(5, ""); err != nil {
		t.Error(err)
	}
	if err := sync(4, "a"); err != nil || string(d.Platter("a")) != "THERE12345" {
		t.Errorf("with room again: %v, %q", err, d.Platter("a"))
	}
}
