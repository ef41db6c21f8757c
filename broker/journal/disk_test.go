package journal

import (
	"maps"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/sim/prng"
)

// memDisk is a disk in memory that can crash. Answers wait in a queue until the
// test delivers them; what no delivered sync covers may be lost in a crash, sector
// by sector.
type memDisk struct {
	*files.Files
	names   map[string]*memFile
	durable map[string]*memFile // names that a crash leaves
	queue   []func()
	failing map[string]error      // by name: what its next syncs answer
	tickets map[string]env.Ticket // of the last sync of each file
	full    bool
	writes  int
	reads   int  // loads and lists
	badRead int  // the number of the one that fails
	hidden  bool // lists leave everything out
	short   bool // by giving half of what was asked, not by an error
	thrifty bool // keeps nothing of a write: for a benchmark of whoever writes
}

type memFile struct {
	seen, platter []byte
	pending       []memWrite
}

type memWrite struct {
	position int64
	data     []byte
	size     int64 // of a truncation, where data is nil
}

func newMemDisk() *memDisk {
	d := &memDisk{names: map[string]*memFile{}, durable: map[string]*memFile{}, failing: map[string]error{}, tickets: map[string]env.Ticket{}}
	d.Files = files.New(d)
	return d
}

func (d *memDisk) Create(name string, size int64) {
	if d.full {
		d.failing[name] = env.ErrNoSpace
		return
	}
	if d.names[name] != nil {
		d.failing[name] = env.ErrExist
		return
	}
	d.names[name] = &memFile{}
	d.Truncate(name, size)
}

func (d *memDisk) Append(string, []byte) { panic("not used") }

func (d *memDisk) WriteAt(name string, position int64, data []byte) {
	d.writes++
	if d.thrifty {
		return
	}
	d.names[name].change(memWrite{position: position, data: slices.Clone(data)})
}

func (d *memDisk) Truncate(name string, size int64) { d.names[name].change(memWrite{size: size}) }

func (d *memDisk) Remove(name string) {
	delete(d.names, name)
	delete(d.failing, name)
}

func (d *memDisk) Sync(ticket env.Ticket, name string) {
	if strings.HasSuffix(name, "/") {
		names := maps.Clone(d.names)
		d.answer(func() {
			d.durable = names
			d.Synced(ticket, nil)
		})
		return
	}
	d.tickets[name] = ticket
	f, err := d.names[name], d.failing[name]
	n := 0
	if f != nil {
		n = len(f.pending)
	}
	d.answer(func() {
		if err == nil {
			f.settle(n)
		}
		d.Synced(ticket, err)
	})
}

func (d *memDisk) Load(ticket env.Ticket, name string, position int64, length int) {
	seen := d.names[name].seen
	from := min(position, int64(len(seen)))
	data := slices.Clone(seen[from:min(from+int64(length), int64(len(seen)))])
	err := d.read()
	if err != nil && d.short {
		data, err = data[:len(data)-1], nil
	}
	d.answer(func() { d.Loaded(ticket, data, err) })
}

func (d *memDisk) Free() int64 { return 1 << 40 }

func (d *memDisk) List(ticket env.Ticket, _ string) {
	var entries []env.FileInfo
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if d.hidden {
			break
		}
		entries = append(entries, env.FileInfo{Name: name, Size: int64(len(d.names[name].seen))})
	}
	err := d.read()
	d.answer(func() { d.Listed(ticket, entries, err) })
}

func (d *memDisk) read() error {
	if d.reads++; d.reads == d.badRead {
		return env.ErrIO
	}
	return nil
}

func (d *memDisk) answer(f func()) { d.queue = append(d.queue, f) }

// deliver gives the oldest answer; false if there is none.
func (d *memDisk) deliver() bool {
	if len(d.queue) == 0 {
		return false
	}
	next := d.queue[0]
	d.queue = d.queue[1:]
	next()
	return true
}

// run delivers until nothing is left.
func (d *memDisk) run() {
	for d.deliver() {
	}
}

// kill ends the process; what it wrote is still there, synced or not.
func (d *memDisk) kill() {
	d.queue = nil
	d.failing = map[string]error{}
	d.Files = files.New(d)
}

// crash takes the power: of what is not synced, random sectors survive.
func (d *memDisk) crash(random *prng.Stream) {
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		if d.durable[name] == nil && random.Chance(1, 2) {
			d.durable[name] = d.names[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		d.durable[name].crash(random)
	}
	d.names = maps.Clone(d.durable)
	d.kill()
}

// lose takes the power, and everything that is not synced with it.
func (d *memDisk) lose() {
	d.names = maps.Clone(d.durable)
	for _, f := range d.durable {
		f.pending, f.seen = nil, slices.Clone(f.platter)
	}
	d.kill()
}

func (f *memFile) change(w memWrite) {
	f.pending = append(f.pending, w)
	f.seen = w.apply(f.seen)
}

func (f *memFile) settle(n int) {
	// An earlier sync's answer may have covered some.
	for _, w := range f.pending[:min(n, len(f.pending))] {
		f.platter = w.apply(f.platter)
	}
	f.pending = f.pending[min(n, len(f.pending)):]
}

func (f *memFile) crash(random *prng.Stream) {
	survival := random.Between(0, 4) // out of 4
	for _, w := range f.pending {
		if w.data == nil {
			if random.Chance(survival, 4) {
				f.platter = w.apply(f.platter)
			}
			continue
		}
		for at := 0; at < len(w.data); at += sector {
			if random.Chance(survival, 4) {
				piece := w.data[at:min(at+sector, len(w.data))]
				f.platter = memWrite{position: w.position + int64(at), data: piece}.apply(f.platter)
			}
		}
	}
	f.pending = nil
	f.seen = slices.Clone(f.platter)
}

func (w memWrite) apply(b []byte) []byte {
	size := w.size
	if w.data != nil {
		size = max(int64(len(b)), w.position+int64(len(w.data)))
	}
	if size > int64(len(b)) {
		b = append(b, make([]byte, size-int64(len(b)))...)
	}
	b = b[:size]
	copy(b[min(w.position, size):], w.data)
	return b
}
