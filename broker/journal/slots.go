package journal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/trace"
)

// slot is a file on the disk, there for ever and used again and again.
type slot struct {
	name string
	size int64
	used bool // it held batches before
}

// file is one use of a slot, from its first batch to its release.
type file struct {
	slot        *slot
	first, last uint64 // numbers of its batches
	end         int64  // of the last of them
	// The images that begin here, and the bytes of entries they hold by now.
	images int
	bytes  int
}

// slots is the part of a Journal that looks after its files.
type slots struct {
	// live files, oldest first; the last one is written to once current is set.
	live     []*file
	current  bool
	position int64 // in the last live file, where the next batch goes
	// free slots are ready for use. There is always at least one: the last is
	// taken only by a batch that releases the oldest live file.
	free []*slot
	// made counts the slots there are; limit is how many there may be. cramped: for
	// the time being the disk has no room for more than were made.
	made, limit int
	making      bool
	cramped     bool
	nextName    int
	rolls       uint64
	// before is the file that was written to before the current one, until it has the
	// witness of that one's first batch.
	before *file

	// pressing lists groups whose checkpoint would help, as of a number of rolls.
	pressing   []api.GroupID
	pressingAt uint64
}

// cheapShare: a file whose images come to at most one part in so many of a file
// is given up as soon as files run short; others wait for checkpoints.
const cheapShare = 4

// full says whether a batch of a size needs the next file.
func (j *Journal) full(size int64) bool {
	return !j.current || j.position > 0 && j.position+size+sector > j.opts.FileBytes // a witness has room
}

// roll goes on to the next file.
func (j *Journal) roll() {
	s := j.free[0]
	j.free = slices.Delete(j.free, 0, 1)
	j.relieve(len(j.free) == 0)
	if s.size != j.opts.FileBytes {
		j.disk.Truncate(s.name, j.opts.FileBytes)
		s.size = j.opts.FileBytes
	}
	if s.used {
		j.mark("journal: file recycled")
	}
	s.used = true
	if n := len(j.live); n > 0 {
		j.before = j.live[n-1]
	}
	j.live = append(j.live, &file{slot: s, first: j.next, last: j.next})
	j.current, j.position = true, 0
	j.rolls++
	j.cramped = !j.opts.Room(j.opts.FileBytes)
	if len(j.free) < 2 && j.made < j.limit && !j.making && !j.cramped {
		j.extend()
	}
}

// put writes a batch at the current position and syncs it.
func (j *Journal) put(data []byte, done func(error)) {
	f := j.live[len(j.live)-1]
	if size := int64(j.header.Size); size > f.slot.size {
		j.disk.Truncate(f.slot.name, size)
		f.slot.size = size
	}
	j.disk.WriteAt(f.slot.name, j.position, data)
	j.position += int64(len(data))
	f.end = j.position
	j.disk.Sync(f.slot.name, done)
}

// attest writes into the file before the current one that the current one's first batch,
// which has landed, was there. If the file is lost as a whole, nothing else could tell.
func (j *Journal) attest() {
	f := j.before
	if f == nil {
		return
	}
	j.before = nil
	j.disk.WriteAt(f.slot.name, f.end, witness(j.header))
	j.disk.Sync(f.slot.name, func(err error) {
		if err != nil {
			j.opts.Fail(fmt.Errorf("journal: write %s: %w", f.slot.name, err))
		}
	})
}

// relieve writes again, in the batch that gathers, the images that begin in old
// files: always those of the oldest if it must be released, and of more while
// many files are live and it costs little.
func (j *Journal) relieve(must bool) {
	for n, f := range j.live {
		if !(must && n == 0) && !(j.crowded(len(j.live)-n) && j.cheap(f)) {
			return
		}
		j.writeAgain(f)
	}
}

func (j *Journal) crowded(live int) bool {
	if j.cramped {
		return live > j.made/2
	}
	return live > j.limit/2
}

func (j *Journal) cheap(f *file) bool {
	return int64(f.bytes+f.images*imageOverhead) <= j.opts.FileBytes/cheapShare
}

func (j *Journal) writeAgain(f *file) {
	if f.images == 0 {
		return
	}
	j.mark("journal: images written again")
	for _, g := range j.Groups() {
		i := j.images[g]
		if i.home != f {
			continue
		}
		for _, u := range i.again() {
			j.plain = u.append(j.plain)
		}
		i.leave()
		j.begun = append(j.begun, i)
	}
}

// stillNeeded is the number of the oldest batch that matters.
func (j *Journal) stillNeeded() uint64 {
	last := len(j.live) - 1
	for _, f := range j.live[:last] {
		if f.images > 0 {
			return f.first
		}
	}
	return j.live[last].first
}

// release frees the slots of files that a synced batch said are needed no more.
func (j *Journal) release(oldest uint64) {
	for j.live[0].last < oldest {
		j.free = append(j.free, j.live[0].slot)
		j.live = slices.Delete(j.live, 0, 1)
	}
}

// extend makes another slot for the time when it is needed, or makes do with those
// there are.
func (j *Journal) extend() {
	j.create(func(err error) {
		if err == nil {
			return
		}
		j.limit = j.made
		j.opts.Trace(trace.Event{
			Level: trace.Warn, Name: "journal: no room for another file", Detail: err.Error(),
		})
	})
}

// create makes a slot filled with zeros, which is free when done is called
// without an error.
func (j *Journal) create(done func(error)) {
	j.making = true
	s := &slot{name: slotName(j.opts.Folder, j.nextName), size: j.opts.FileBytes}
	j.nextName++
	made := func(err error) {
		j.making = false
		if err != nil {
			if !errors.Is(err, env.ErrExist) {
				j.disk.Remove(s.name)
			}
			done(fmt.Errorf("create %s: %w", s.name, err))
			return
		}
		j.made++
		j.free = append(j.free, s)
		done(nil)
	}
	j.disk.Create(s.name, s.size)
	j.disk.Sync(s.name, func(err error) {
		if err != nil {
			made(err)
			return
		}
		j.disk.Sync(j.opts.Folder, made)
	})
}

// Pressure lists, sorted, the groups whose checkpoint would let the journal give
// up its oldest file, now that files run short: each once for every new file.
func (j *Journal) Pressure() []api.GroupID {
	if !j.crowded(len(j.live)) || j.cheap(j.live[0]) {
		return nil
	}
	helps := func(g api.GroupID) bool {
		i := j.images[g]
		return i != nil && i.home == j.live[0] && i.bytes > 0 && i.relieved < j.rolls
	}
	if j.pressingAt != j.rolls {
		j.pressing, j.pressingAt = j.Groups(), j.rolls
	}
	j.pressing = slices.DeleteFunc(j.pressing, func(g api.GroupID) bool { return !helps(g) })
	return slices.Clone(j.pressing)
}

// enter makes f the file where the image begins.
func (i *Image) enter(f *file) {
	i.home = f
	f.images++
	f.bytes += i.bytes
}

// leave undoes enter.
func (i *Image) leave() {
	if i.home == nil {
		return
	}
	i.home.images--
	i.home.bytes -= i.bytes
	i.home = nil
}

func (j *Journal) mark(name string) {
	j.opts.Trace(trace.Event{Level: trace.Mark, Name: name})
}

// slotName numbers the slots of a folder from 00.
func slotName(folder string, n int) string { return fmt.Sprintf("%s%02d", folder, n) }
