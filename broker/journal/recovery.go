package journal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// ErrDamaged: a batch that was synced is not there any more, or nothing is, so the node may have
// forgotten votes and acknowledgements that it gave. It must not take part under
// its old identity. What to do: remove the node from the cluster, and let it join
// again with an empty data folder, as a new node.
var ErrDamaged = errors.New("the journal is damaged: what was synced is missing, so the node cannot trust its" +
	" promises; remove this node from the cluster and join again with an empty data folder, under a new identity")

// ErrVersion: what is there was written by another version of this format.
var ErrVersion = errors.New("the journal was written by another version of reprise: run that one on it")

// Open reads the journal in a folder, or begins one, and hands it to done. The
// error is ErrDamaged, or what the disk says.
func Open(f *files.Files, opts Options, done func(*Journal, error)) {
	if opts.Files < minFiles || opts.FileBytes < sector || opts.FileBytes%sector != 0 {
		panic(fmt.Sprintf("journal: %d files of %d bytes", opts.Files, opts.FileBytes))
	}
	r := &recovery{
		disk: f, opts: opts, done: done,
		journal: &Journal{
			disk: f, opts: opts, images: make(map[api.GroupID]*Image), plain: blank(nil),
			slots: slots{limit: opts.Files},
		},
	}
	f.List(opts.Folder, r.listed)
}

// recovery is the opening of a journal: it reads every slot to find the batches,
// judges which of them count, and reads those again, in order, to make the images.
type recovery struct {
	disk    *files.Files
	opts    Options
	done    func(*Journal, error)
	journal *Journal

	slots []*slot
	found []location
	// witnesses that were found, and whether batches were of another version.
	witnesses []Header
	foreign   bool
	// bad holds what the heads of batches that are not whole say.
	bad []Header
	// chain is what counts of found, by number.
	chain []location
}

// location is where a whole batch stands.
type location struct {
	Header
	slot     int
	at, size int64
}

func (r *recovery) fail(err error) {
	r.done(nil, fmt.Errorf("open journal %s: %w", r.opts.Folder, err))
}

func (r *recovery) listed(entries []env.FileInfo, err error) {
	if err != nil {
		r.fail(err)
		return
	}
	for _, e := range entries {
		n, err := strconv.Atoi(strings.TrimPrefix(e.Name, r.opts.Folder))
		if err != nil || slotName(r.opts.Folder, n) != e.Name {
			continue
		}
		r.slots = append(r.slots, &slot{name: e.Name, size: e.Size})
		r.journal.nextName = max(r.journal.nextName, n+1)
	}
	r.scan(0)
}

// scan looks for batches in the slots from number n on.
func (r *recovery) scan(n int) {
	if n == len(r.slots) {
		r.judge()
		return
	}
	s := r.slots[n]
	r.load(s, 0, s.size, func(data []byte) {
		for at := int64(0); at < int64(len(data)); {
			h, size := examine(data[at:])
			seen, witness := decodeWitness(data[at:])
			switch {
			case size > 0:
				r.found = append(r.found, location{Header: h, slot: n, at: at, size: size})
			case h.Number > 0:
				r.bad = append(r.bad, h)
			case witness:
				r.witnesses = append(r.witnesses, seen)
			case otherVersion(data[at:]):
				r.foreign = true
			}
			at += max(size, sector)
		}
		r.scan(n + 1)
	})
}

// load reads a range of a slot, all of it or the recovery fails.
func (r *recovery) load(s *slot, at, length int64, done func([]byte)) {
	r.disk.Load(s.name, at, int(length), func(data []byte, err error) {
		if err == nil && int64(len(data)) != length {
			err = env.ErrIO
		}
		if err != nil {
			r.fail(fmt.Errorf("read %s: %w", s.name, err))
			return
		}
		done(data)
	})
}

func (r *recovery) judge() {
	j := r.journal
	var salt uint64
	for _, l := range r.found {
		r.slots[l.slot].used = true
		salt = max(salt, l.Salt)
	}
	var ok bool
	r.chain, ok = judge(r.found, r.witnesses)
	switch {
	case len(r.found) == 0 && r.foreign:
		r.fail(ErrVersion)
		return
	case !ok, len(r.chain) == 0 && r.opts.Must, r.cutShort():
		r.fail(ErrDamaged)
		return
	}
	if n := len(r.chain); n > 0 {
		j.synced = r.chain[n-1].Number
		j.unattested = true
	}
	j.next = j.synced + 1
	j.start = j.next
	j.salt = newerSalt(salt, j.opts.Salt())
	if slices.ContainsFunc(r.bad, func(h Header) bool { return h.Number == j.next }) {
		j.mark("journal: torn end cut")
	}
	r.replay(0)
}

// cutShort reports whether a file has lost its end. The size of a file is synced with the
// batch that says it.
func (r *recovery) cutShort() bool {
	if len(r.chain) == 0 {
		return false
	}
	synced := r.chain[len(r.chain)-1].Synced
	return slices.ContainsFunc(r.chain, func(l location) bool {
		return l.Number <= synced && l.Size > uint64(r.slots[l.slot].size)
	})
}

// saltShift: the upper half of a salt counts the openings, the lower is random.
const saltShift = 32

// newerSalt is greater than the salt of every older run.
func newerSalt(old, random uint64) uint64 {
	return (old>>saltShift+1)<<saltShift | random&math.MaxUint32
}

// nowhere is the slot of a batch that only a witness tells of.
const nowhere = -1

// judge decides which batches count: those from the oldest that matters to the
// last, by number. False: one of them was synced and is missing.
func judge(found []location, witnesses []Header) ([]location, bool) {
	found = slices.Clone(found)
	for _, h := range witnesses {
		found = append(found, location{Header: h, slot: nowhere})
	}
	slices.SortFunc(found, func(a, b location) int {
		return cmp.Or(cmp.Compare(b.Salt, a.Salt), cmp.Compare(a.Number, b.Number),
			cmp.Compare(a.slot, b.slot), cmp.Compare(a.at, b.at))
	})
	// A run voids what older ones wrote from its start on.
	valid := make(map[uint64]location)
	floor, synced := uint64(math.MaxUint64), uint64(0)
	for k, l := range found {
		if k > 0 && found[k-1].Salt != l.Salt {
			floor = min(floor, found[k-1].Start)
		}
		if l.Number >= floor {
			continue
		}
		synced = max(synced, l.Synced)
		if l.slot != nowhere {
			valid[l.Number] = l
		}
	}
	// What was synced counts, and what follows it without a gap.
	last := synced
	for valid[last+1].Number != 0 {
		last++
	}
	var chain []location
	for n := last; n > 0 && (n == last || n >= valid[last].Oldest); n-- {
		if valid[n].Number == 0 {
			return nil, false
		}
		chain = append(chain, valid[n])
	}
	slices.Reverse(chain)
	return chain, true
}

// replay applies the batches of the chain from the n-th on, a file at a time.
func (r *recovery) replay(n int) {
	if n == len(r.chain) {
		r.settle()
		return
	}
	first := r.chain[n]
	end := n
	for end < len(r.chain) && r.chain[end].slot == first.slot {
		end++
	}
	last := r.chain[end-1]
	s := r.slots[first.slot]
	r.load(s, first.at, last.at+last.size-first.at, func(data []byte) {
		f := &file{slot: s, first: first.Number, last: last.Number, end: last.at + last.size}
		r.journal.live = append(r.journal.live, f)
		for _, l := range r.chain[n:end] {
			if !r.apply(l, f, data[l.at-first.at:]) {
				r.fail(ErrDamaged)
				return
			}
		}
		if end == len(r.chain) {
			r.fasten(last, data[last.at-first.at:])
			return
		}
		r.replay(end)
	})
}

// apply makes the updates of a batch. A group whose image begins further on is
// passed over.
func (r *recovery) apply(l location, f *file, data []byte) bool {
	b, _, err := DecodeBatch(data)
	if err != nil || b.Header != l.Header {
		return false
	}
	images := r.journal.images
	for k := range b.Updates {
		u := &b.Updates[k]
		i := images[u.Group]
		if u.anew {
			if i != nil {
				i.leave()
			}
			i = &Image{Group: u.Group}
			i.enter(f)
			images[u.Group] = i
		}
		if i == nil {
			continue
		}
		if i.check(u) != nil {
			return false
		}
		home := i.home
		i.leave()
		i.apply(u)
		if u.Forget {
			delete(images, u.Group)
			continue
		}
		i.enter(home)
	}
	return true
}

// fasten writes the last batch again, with the size of its file, and syncs it. It was read, but perhaps only
// from the system's memory: its sync may never have ended, or have failed.
func (r *recovery) fasten(l location, data []byte) {
	s := r.slots[l.slot]
	name := s.name
	s.size = max(s.size, int64(l.Size))
	r.disk.Truncate(name, s.size)
	r.disk.WriteAt(name, l.at, data)
	r.disk.Sync(name, func(err error) {
		if err != nil {
			r.fail(fmt.Errorf("write %s: %w", name, err))
			return
		}
		r.settle()
	})
}

// settle sorts the slots, whose names may not be durable yet.
func (r *recovery) settle() {
	j := r.journal
	live := make(map[*slot]bool)
	for _, f := range j.live {
		live[f.slot] = true
	}
	for _, s := range r.slots {
		if !live[s] {
			j.free = append(j.free, s)
		}
	}
	j.made = len(r.slots)
	if j.made == 0 {
		r.provide()
		return
	}
	r.disk.Sync(r.opts.Folder, func(err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.provide()
	})
}

// provide makes sure of a free slot, and of the least number of them.
func (r *recovery) provide() {
	j := r.journal
	switch {
	case j.made >= minFiles && len(j.free) > 0 && len(r.chain) == 0:
		r.begin()
		return
	case j.made >= minFiles && len(j.free) > 0:
		r.done(j, nil)
		return
	}
	j.create(func(err error) {
		if err != nil {
			r.fail(err)
			return
		}
		r.provide()
	})
}

// begin writes the first batch, an empty one: a journal without any is none.
func (r *recovery) begin() {
	j := r.journal
	j.waiting = append(j.waiting, func() { r.done(j, nil) })
	j.Flush()
}
