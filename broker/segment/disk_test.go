package segment

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/sim/prng"
)

// disk is an env.Disk in memory that can crash: of what was not synced, any
// sectors survive, and any names. Answers wait until run.
type disk struct {
	rng *prng.Stream
	// visible is what the process sees, durable the names that are certain.
	visible, durable map[string]*file
	answers          []func()
	files            *files.Files
	// failSync makes the next sync of this name fail and lose what it covers, though
	// loads still show it.
	failSync string
	// failLoad makes this load, counted from now, and those after it fail.
	failLoad int
	// failed are calls on names that were not there, until their next sync.
	failed map[string]error
	loads  int
}

type file struct {
	// visible is the contents, durable what is certain of it.
	visible, durable []byte
	// unsynced are the calls since the last sync, of which calls came before.
	unsynced []op
	calls    int
	failed   error
}

// op is a write at a position, or with nil data a truncation.
type op struct {
	position int64
	data     []byte
}

const sector = 512

func newDisk(seed uint64) *disk {
	d := &disk{rng: prng.New(seed), visible: map[string]*file{}, durable: map[string]*file{}, failed: map[string]error{}}
	d.files = files.New(d)
	return d
}

// testGroup is whose log the tests make.
const testGroup api.GroupID = 3

// log is where it stands.
func (d *disk) log() Log { return Log{Files: d.files, Folder: folder, Group: testGroup} }

// run gives answers until none waits.
func (d *disk) run() {
	for len(d.answers) > 0 {
		d.step()
	}
}

// step gives the oldest answer.
func (d *disk) step() {
	next := d.answers[0]
	d.answers = d.answers[1:]
	next()
}

// crash keeps of the unsynced what it likes; the process starts anew.
func (d *disk) crash() {
	names := map[string]*file{}
	for _, name := range slices.Sorted(maps.Keys(d.visible)) {
		if d.visible[name] == d.durable[name] || d.rng.Chance(1, 2) {
			names[name] = d.visible[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		if d.visible[name] != d.durable[name] && names[name] == nil && (d.visible[name] != nil || d.rng.Chance(1, 2)) {
			names[name] = d.durable[name]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		names[name].crash(d.rng)
	}
	d.visible, d.durable = names, maps.Clone(names)
	d.restart()
}

// restart ends the process and leaves the disk as it is.
func (d *disk) restart() {
	d.answers, d.failed = nil, map[string]error{}
	d.files = files.New(d)
}

func (f *file) crash(rng *prng.Stream) {
	b := bytes.Clone(f.durable)
	ops := f.unsynced
	switch rng.Below(4) {
	case 0:
		ops = nil
	case 1: // whole calls in order, the last one torn
		if len(ops) > 0 {
			ops = ops[:rng.Below(int64(len(ops)))+1]
			for _, o := range ops[:len(ops)-1] {
				b = o.apply(b)
			}
			b = ops[len(ops)-1].tear(b, rng)
		}
	case 2: // any sectors of any calls
		for _, o := range ops {
			b = o.tear(b, rng)
		}
	default:
		for _, o := range ops {
			b = o.apply(b)
		}
	}
	f.visible, f.durable, f.failed = b, bytes.Clone(b), nil
	f.calls, f.unsynced = 0, nil
}

func (o op) apply(b []byte) []byte {
	if o.data == nil {
		return resize(b, o.position)
	}
	b = resize(b, max(int64(len(b)), o.position+int64(len(o.data))))
	copy(b[o.position:], o.data)
	return b
}

// tear applies the call to some sectors only.
func (o op) tear(b []byte, rng *prng.Stream) []byte {
	if rng.Chance(1, 4) {
		return b
	}
	if o.data == nil {
		return o.apply(b)
	}
	whole := o.apply(bytes.Clone(b))
	b = resize(b, int64(len(whole)))
	for at := o.position / sector * sector; at < int64(len(whole)); at += sector {
		if rng.Chance(2, 3) {
			end := min(at+sector, int64(len(whole)))
			copy(b[at:end], whole[at:end])
		}
	}
	return b
}

// resize may use what is behind b.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func (d *disk) write(name string, o op) {
	f := d.visible[name]
	if f == nil {
		d.failed[name] = env.ErrNotExist
		return
	}
	f.unsynced = append(f.unsynced, o)
	f.visible = o.apply(f.visible)
}

func (d *disk) Create(name string, size int64) {
	if f := d.visible[name]; f != nil {
		f.failed = env.ErrExist
		return
	}
	d.visible[name] = &file{visible: make([]byte, size)}
}

func (d *disk) Append(name string, data []byte) {
	end := int64(0)
	if f := d.visible[name]; f != nil {
		end = int64(len(f.visible))
	}
	d.write(name, op{end, data})
}

func (d *disk) WriteAt(name string, position int64, data []byte) {
	d.write(name, op{position, data})
}

func (d *disk) Truncate(name string, size int64) { d.write(name, op{size, nil}) }

func (d *disk) Remove(name string) {
	switch {
	case d.visible[name] != nil:
		delete(d.visible, name)
	case strings.HasSuffix(name, "/") && len(d.list(name)) > 0:
		d.failed[name] = env.ErrIO
	case !strings.HasSuffix(name, "/"):
		d.failed[name] = env.ErrNotExist
	}
}

// Sync takes effect when it is answered, and covers what was called before it.
func (d *disk) Sync(t env.Ticket, name string) {
	settle := d.sync(name)
	d.answers = append(d.answers, func() { d.files.Synced(t, settle()) })
}

func (d *disk) sync(name string) func() error {
	if err := d.failed[name]; err != nil {
		delete(d.failed, name)
		return func() error { return err }
	}
	if name == "" || strings.HasSuffix(name, "/") {
		seen := maps.Clone(d.visible)
		return func() error { return d.syncFolder(name, seen) }
	}
	f := d.visible[name]
	if f == nil {
		return func() error { return env.ErrNotExist }
	}
	if d.failSync == name {
		d.failSync, f.calls, f.unsynced = "", f.calls+len(f.unsynced), nil
		return func() error { return env.ErrIO }
	}
	through := f.calls + len(f.unsynced)
	return func() error { return f.sync(through) }
}

// sync makes the first calls on the file certain.
func (f *file) sync(through int) error {
	for ; f.calls < through && len(f.unsynced) > 0; f.calls++ {
		f.durable = f.unsynced[0].apply(f.durable)
		f.unsynced = f.unsynced[1:]
	}
	err := f.failed
	f.failed = nil
	return err
}

func (d *disk) syncFolder(folder string, seen map[string]*file) error {
	for name := range d.durable {
		if strings.HasPrefix(name, folder) && seen[name] == nil {
			delete(d.durable, name)
		}
	}
	for name, f := range seen {
		if strings.HasPrefix(name, folder) {
			d.durable[name] = f
		}
	}
	return nil
}

func (d *disk) Load(t env.Ticket, name string, position int64, length int) {
	d.loads++
	var data []byte
	err := env.ErrNotExist
	if f := d.visible[name]; f != nil {
		from := min(position, int64(len(f.visible)))
		data, err = bytes.Clone(f.visible[from:min(from+int64(length), int64(len(f.visible)))]), nil
	}
	if d.failLoad--; d.failLoad == 0 {
		d.failLoad, data, err = 1, nil, env.ErrIO
	}
	d.answers = append(d.answers, func() { d.files.Loaded(t, data, err) })
}

func (d *disk) Free() int64 { return 1 << 40 }

func (d *disk) List(t env.Ticket, folder string) {
	entries := d.list(folder)
	d.answers = append(d.answers, func() { d.files.Listed(t, entries, nil) })
}

// list has a folder for as long as it has files.
func (d *disk) list(folder string) []env.FileInfo {
	var entries []env.FileInfo
	for _, name := range slices.Sorted(maps.Keys(d.visible)) {
		rest, ok := strings.CutPrefix(name, folder)
		if !ok {
			continue
		}
		e := env.FileInfo{Name: name, Size: int64(len(d.visible[name].visible))}
		if below, _, deep := strings.Cut(rest, "/"); deep {
			e = env.FileInfo{Name: folder + below + "/"}
		}
		if !slices.Contains(entries, e) {
			entries = append(entries, e)
		}
	}
	return entries
}
