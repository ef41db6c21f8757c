// Package disk is a simulated disk that can lose power. It keeps every file
// twice: as its process sees it, and as the platter holds it; between the two
// stand the changes that no sync has covered yet. A crash decides, change by
// change and sector by sector, which of those reached the platter.
//
// Whatever is drawn is a hash of the seed, the disk and the number of the
// operation or crash, never the next number of a shared stream: a fault removed
// from a plan moves as little else as possible.
//
// It owns the tree of one node's files over all its lives. It never knows what
// is in them.
package disk

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/sim/agenda"
)

// Kind says what an Operation does.
type Kind uint8

// Kinds of Operation.
const (
	Create Kind = iota
	Write
	Truncate
	Remove
	Sync
)

var kindNames = [...]string{Create: "create", Write: "write", Truncate: "truncate", Remove: "remove", Sync: "sync"}

// String is the kind's name.
func (k Kind) String() string { return kindNames[k] }

// Operation is a change of the disk as a Watcher sees it.
type Operation struct {
	Kind Kind
	// Name of the file or folder.
	Name string
	// Position of a write; the size of a creation or truncation.
	Position int64
	// Data of a write; not to be changed.
	Data []byte
}

// Watcher looks on. It must not call the disk.
type Watcher interface {
	// Called: the process called the operation; it is visible to it from now on.
	Called(op Operation)
	// Durable: the write will survive any crash from now on.
	Durable(op Operation)
}

// Disk is the tree of files of one node, over all its lives.
type Disk struct {
	agenda  *agenda.Agenda
	watcher Watcher
	seed    uint64 // already mixed with the disk's number
	speed   Speed

	life        uint64
	operations  uint64 // numbers the draws of delays
	crashes     uint64 // numbers the draws of crashes
	made        uint64 // numbers files
	stalledTill env.Time
	slow        int64 // delays are multiplied by it; at least 1
	limit       int64 // bytes that all files together may have; below 0: any number
	refused     bool  // a call failed because of that
	faults

	files   map[string]*file   // as the process sees them
	folders map[string]*folder // the root is ""
}

// New gives an empty disk.
func New(a *agenda.Agenda, seed uint64, speed Speed, watcher Watcher) *Disk {
	return &Disk{
		agenda: a, watcher: watcher, seed: seed, speed: speed, slow: 1, limit: -1,
		files: make(map[string]*file), folders: map[string]*folder{"": newFolder("")},
	}
}

// Open begins a life: the disk for a new process, whose answers are handed to
// answer. The disk of the life before does nothing any more.
func (d *Disk) Open(answer func(func(env.Process))) *Handle {
	d.life++
	d.failed = false
	return &Handle{disk: d, life: d.life, answer: answer, failed: make(map[string]error), broken: make(map[string]bool)}
}

// Slow multiplies every delay from now on; 1 is the normal speed.
func (d *Disk) Slow(factor int64) { d.slow = max(factor, 1) }

// Stall holds every answer back until t.
func (d *Disk) Stall(t env.Time) { d.stalledTill = max(d.stalledTill, t) }

// Fill leaves room for so many bytes; below 0 there is always room.
func (d *Disk) Fill(room int64) {
	d.limit = room
	if room >= 0 {
		d.limit += d.used()
	}
}

// Free is how many bytes files can still grow by.
func (d *Disk) Free() int64 {
	if d.limit < 0 {
		return math.MaxInt64
	}
	return max(d.limit-d.used(), 0)
}

func (d *Disk) used() (bytes int64) {
	for _, name := range d.Names() {
		bytes += int64(len(d.files[name].seen))
	}
	return bytes
}

// Names lists every file there is, as the process sees it, sorted.
func (d *Disk) Names() []string { return slices.Sorted(maps.Keys(d.files)) }

// Folders lists every folder there is but the root, as the process sees it, sorted.
func (d *Disk) Folders() []string { return slices.Sorted(maps.Keys(d.folders))[1:] }

// Contents is a file as the process sees it; nil if there is none. It must not be
// changed, and is good until the next call.
func (d *Disk) Contents(name string) []byte {
	f := d.files[name]
	if f == nil {
		return nil
	}
	return f.seen
}

// Platter is what would be left of a file if every unsynced change of its
// contents were lost now; nil if there is none.
func (d *Disk) Platter(name string) []byte {
	if f := d.folders[parent(name)]; f != nil && f.durable[name] != nil {
		return f.durable[name].durable
	}
	return nil
}

// proper reports whether a name is one that a file may have, as env.Disk says. A
// folder's ends with a slash.
func proper(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." {
			return false
		}
		for i := range len(element) {
			if !strings.Contains("abcdefghijklmnopqrstuvwxyz0123456789-_.", element[i:i+1]) {
				return false
			}
		}
	}
	return true
}

// blocked reports whether a file cannot have a name because a folder has it, or a
// file that of a folder above.
func (d *Disk) blocked(name string) bool {
	if d.folders[name+"/"] != nil {
		return true
	}
	for above := parent(name); above != ""; above = parent(above) {
		if d.files[strings.TrimSuffix(above, "/")] != nil {
			return true
		}
	}
	return false
}

// parent is the folder that a name stands in.
func parent(name string) string {
	return name[:strings.LastIndexByte(strings.TrimSuffix(name, "/"), '/')+1]
}

// makeFolder makes a folder and those above it, durably.
func (d *Disk) makeFolder(name string) *folder {
	if f := d.folders[name]; f != nil {
		return f
	}
	above := d.makeFolder(parent(name))
	f := newFolder(name)
	d.folders[name] = f
	above.pending = append(above.pending, rename{name: name, folder: f})
	above.settle(above.numbered())
	return f
}

// list gives the entries directly in a folder.
func (d *Disk) list(folder string) []env.FileInfo {
	var entries []env.FileInfo
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if parent(name) == folder {
			entries = append(entries, env.FileInfo{Name: name, Size: int64(len(d.files[name].seen))})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.folders)) {
		if name != "" && parent(name) == folder {
			entries = append(entries, env.FileInfo{Name: name})
		}
	}
	slices.SortFunc(entries, func(a, b env.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	return entries
}
