package disk

import (
	"maps"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/sim/prng"
)

// faults are what is wrong with a disk beside what a crash does to it.
type faults struct {
	// spoilt are the places, by file and sector, that are not as they were written
	// and have not been written since.
	spoilt map[spot]wound
	// failWrite and failSync are how many of the next writes and syncs of segments or
	// the journal fail; misdirected how many of the next writes to segments go
	// elsewhere, and stale how many of the next reads of segments miss a write.
	failWrite, failSync, misdirected, stale int
	// failed: some call failed so, in the present life.
	failed bool
	// touched: there ever was any; rotten: what stood on the platter was.
	touched, rotten bool
	// wounds counts the damage.
	wounds int
	// short are the files that were taken away or cut short, and how long they were.
	short map[string]int64
}

type spot struct {
	file   *file
	sector int64
}

// wound is what is wrong with a sector.
type wound struct {
	// lost: it cannot be read, until something is written to it.
	lost bool
	// bad are the bytes that are not as they were written.
	bad [sector]bool
}

// heals takes what a change writes again out of the wound of a sector, and reports whether
// nothing of it is left. A truncation takes all that it cuts away.
func (w *wound) heals(c change, sectorNumber int64) bool {
	from := max(c.position-sectorNumber*sector, 0)
	to := min(c.position-sectorNumber*sector+int64(len(c.data)), sector)
	if c.data == nil {
		to = sector
	}
	for i := from; i < to; i++ {
		w.bad[i] = false
	}
	w.lost = w.lost && from >= to
	return *w == wound{}
}

// Flip changes a bit of a file that a sync has covered: both as the process sees it
// and on the platter. It reports whether there is such a bit. One of a byte that is damaged
// stays as it is: flipped twice it would be what it was.
func (d *Disk) Flip(name string, position int64, bit uint) bool {
	if w := d.spoilt[spot{d.files[name], position / sector}]; w.bad[position%sector] {
		return false
	}
	return d.spoil(name, position, func(f *file, w *wound) {
		f.durable[position] ^= 1 << bit
		f.seen[position] ^= 1 << bit
		w.bad[position%sector] = true
	})
}

// Lose makes the sector at a position of a file unreadable until it is written. It
// reports whether there is such a sector.
func (d *Disk) Lose(name string, position int64) bool {
	return d.spoil(name, position, func(_ *file, w *wound) { w.lost = true })
}

func (d *Disk) spoil(name string, position int64, do func(*file, *wound)) bool {
	f := d.files[name]
	if f == nil || position >= int64(len(f.durable)) || position >= int64(len(f.seen)) {
		return false
	}
	at := spot{f, position / sector}
	if at.awaited() {
		return false // what is there now will go anyhow
	}
	d.wound(at, func(w *wound) { do(f, w) })
	d.touched, d.rotten = true, true
	return true
}

// wound adds to what is wrong with a spot.
func (d *Disk) wound(at spot, how func(*wound)) {
	d.wounds++
	if d.spoilt == nil {
		d.spoilt = make(map[spot]wound)
	}
	w := d.spoilt[at]
	how(&w)
	d.spoilt[at] = w
}

// FailWrite makes the next write to a file fail, and FailSync the next sync, which
// then loses the changes that it was to cover.
func (d *Disk) FailWrite() { d.failWrite++ }

// FailSync is described with FailWrite.
func (d *Disk) FailSync() { d.failSync++ }

// Misdirect makes the next write to a segment, as its sync covers it, go to a place
// before its own, or nowhere: what was to be written is not there, and what stood at
// the other place is gone. Nobody is told.
func (d *Disk) Misdirect() {
	d.misdirected++
	d.touched, d.rotten = true, true
}

// ReadStale makes the next read of a segment miss a write to a sector, once.
func (d *Disk) ReadStale() { d.stale++ }

// Unlink takes a file away, at once and for good.
func (d *Disk) Unlink(name string) {
	f := d.folders[parent(name)]
	delete(d.files, name)
	delete(f.durable, name)
	f.pending = slices.DeleteFunc(f.pending, func(r rename) bool { return r.name == name })
}

// Empty takes all files of a folder away, as if what was mounted there were not.
func (d *Disk) Empty(folder string) {
	for _, name := range d.Names() {
		if parent(name) == folder {
			d.Unlink(name)
		}
	}
}

// Exchange exchanges the files of a folder with those of another disk, as if each were
// mounted in the other's place.
func (d *Disk) Exchange(other *Disk, name string) {
	mine, theirs := d.takeOut(name), other.takeOut(name)
	d.putIn(name, theirs)
	other.putIn(name, mine)
}

func (d *Disk) takeOut(name string) map[string]*file {
	out := make(map[string]*file)
	for _, at := range d.Names() {
		if parent(at) == name {
			out[at] = d.files[at]
		}
	}
	d.Empty(name)
	return out
}

func (d *Disk) putIn(name string, in map[string]*file) {
	maps.Copy(d.files, in)
	maps.Copy(d.makeFolder(name).durable, in)
}

// Take takes a file away, at once and for good. It reports whether there was one that a
// sync had covered.
func (d *Disk) Take(name string) bool {
	f := d.files[name]
	if f == nil || !d.shorten(f) {
		return false
	}
	d.Unlink(name)
	return true
}

// Cut gives a file that a sync has covered another length, at once and for good. It
// reports whether there is one that had another.
func (d *Disk) Cut(name string, size int64) bool {
	f := d.files[name]
	if f == nil || int64(len(f.seen)) == size || !d.shorten(f) {
		return false
	}
	f.drop(f.numbered())
	f.durable = slices.Clone(resize(f.durable, size))
	f.reread()
	return true
}

// Swap lets two files change places, at once and for good.
func (d *Disk) Swap(a, b string) {
	f, g := d.files[a], d.files[b]
	f.drop(f.numbered())
	g.drop(g.numbered())
	f.durable, g.durable = g.durable, f.durable
	f.reread()
	g.reread()
	d.wounds++
	d.touched, d.rotten = true, true
}

// shorten takes note of how long a file was.
func (d *Disk) shorten(f *file) bool {
	if len(f.durable) == 0 {
		return false
	}
	if d.short == nil {
		d.short = make(map[string]int64)
	}
	d.wounds++
	d.touched, d.rotten = true, true
	d.short[f.name] = max(d.short[f.name], int64(len(f.durable)))
	return true
}

// Short lists the files that were taken away or cut short and are so still, sorted.
func (d *Disk) Short() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.short)), func(name string) bool {
		return d.files[name] != nil && int64(len(d.files[name].seen)) >= d.short[name]
	})
}

// CallOff calls off the failures, and the calls that were to go wrong, which have not
// come about yet. The damage that there is stays.
func (d *Disk) CallOff() { d.failWrite, d.failSync, d.misdirected, d.stale = 0, 0, 0, 0 }

// Failed reports whether a write or sync of this life failed so.
func (d *Disk) Failed() bool { return d.failed }

// Ill reports whether the disk ever kept something other than it was given, or did
// not keep what was written.
func (d *Disk) Ill() bool { return d.touched || d.refused }

// Rotten reports whether what stood on the platter was ever damaged.
func (d *Disk) Rotten() bool { return d.rotten }

// Spoilt names a file that is not as it was written, and that nobody has written
// again; "" if there is none.
func (d *Disk) Spoilt() string {
	var names []string
	//detvet:allow maporder the names are sorted
	for at, w := range d.spoilt {
		if d.files[at.file.name] == at.file && !at.rewritten(w) {
			names = append(names, at.file.name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Whole reports whether the platter has a file as it was written.
func (d *Disk) Whole(name string) bool {
	f := d.files[name]
	if int64(len(d.Platter(name))) < d.short[name] {
		return false
	}
	//detvet:allow maporder one is enough, whichever comes first
	for at := range d.spoilt {
		if at.file == f {
			return false
		}
	}
	return true
}

// Wounds counts the damage that there ever was.
func (d *Disk) Wounds() int { return d.wounds }

// Damaged reports whether a part of a file is not as it was written, and nobody has
// written it again.
func (d *Disk) Damaged(name string, below int64) bool {
	f := d.files[name]
	//detvet:allow maporder one is enough, whichever comes first
	for at, w := range d.spoilt {
		if at.file != f || at.rewritten(w) {
			continue
		}
		inside := w.lost && at.sector*sector < below
		for i := int64(0); i < sector && at.sector*sector+i < below; i++ {
			inside = inside || w.bad[i]
		}
		if inside {
			return true
		}
	}
	return false
}

// mended takes note that a change has reached the platter.
func (d *Disk) mended(f *file, c change) {
	if len(d.spoilt) == 0 {
		return
	}
	//detvet:allow maporder what goes does not depend on the order
	for at, w := range d.spoilt {
		switch {
		case at.file != f:
		case w.heals(c, at.sector):
			delete(d.spoilt, at)
		default:
			d.spoilt[at] = w
		}
	}
}

// unreadable reports whether a range of a file cannot be read. What was written since
// and has not reached the platter can.
func (d *Disk) unreadable(f *file, position int64, length int) bool {
	if len(d.spoilt) == 0 || length == 0 {
		return false
	}
	for s := position / sector; s <= (position+int64(length)-1)/sector; s++ {
		at := spot{f, s}
		if w := d.spoilt[at]; w.lost && !at.rewritten(w) {
			return true
		}
	}
	return false
}

// rewritten reports whether writes that have not reached the platter heal the wound of a
// spot.
func (at spot) rewritten(w wound) bool {
	return slices.ContainsFunc(at.file.pending, func(c change) bool { return c.data != nil && w.heals(c, at.sector) })
}

// awaited reports whether a write to a spot has not reached the platter.
func (at spot) awaited() bool {
	return slices.ContainsFunc(at.file.pending, func(c change) bool {
		return c.data != nil && c.position/sector <= at.sector && (c.position+int64(len(c.data))-1)/sector >= at.sector
	})
}

// brokenWrite takes one of the writes that are to fail, brokenSync one of the syncs of
// a file with something to lose.
func (d *Disk) brokenWrite() bool       { return d.take(&d.failWrite) }
func (d *Disk) brokenSync(f *file) bool { return len(f.pending) > 0 && d.take(&d.failSync) }

// drop loses the changes up to a number: their pages were dirty, and the system gave
// them up.
func (f *file) drop(through uint64) {
	if through > f.settled {
		f.pending = f.pending[through-f.settled:]
		f.settled = through
	}
	f.reread()
}

// reread lets the process see what the platter has, and what is on its way there.
func (f *file) reread() {
	f.seen = slices.Clone(f.durable)
	for _, c := range f.pending {
		f.seen = c.apply(f.seen)
	}
}

func (d *Disk) take(left *int) bool {
	if *left == 0 {
		return false
	}
	*left--
	d.failed, d.touched = true, true
	return true
}

// segments are the files whose damage a node can mend: what they have, others have too.
const segments = ".seg"

// lead takes one of the changes that a sync is about to settle out, if one is to go
// elsewhere. Only the file's size will be as if it had been made.
func (d *Disk) lead(f *file, through uint64) (astray change, ok bool) {
	if d.misdirected == 0 || !strings.HasSuffix(f.name, segments) || through <= f.settled {
		return change{}, false
	}
	i := slices.IndexFunc(f.pending[:through-f.settled], func(c change) bool { return len(c.data) > 0 })
	if i < 0 {
		return change{}, false
	}
	d.misdirected--
	c := f.pending[i]
	f.pending[i] = change{position: max(c.position+int64(len(c.data)), int64(len(f.durable)))}
	return c, true
}

// stray makes a change at a place before its own, if there is one. The system has given
// its pages up, so the process reads what the platter has.
func (d *Disk) stray(f *file, c change) {
	d.wounds++ // also where the platter has the bytes already, but cannot be read
	d.soil(f, c.position, c.data)
	if before := c.position / sector; before > 0 {
		d.operations++
		at := c.position - sector*(1+prng.Scale(prng.Hash(d.seed, d.operations, drawElsewhere), before))
		was := slices.Clone(f.durable[at : at+int64(len(c.data))])
		copy(f.durable[at:], c.data)
		d.soil(f, at, was)
	}
	f.reread()
}

// soil marks the sectors of a file in which the platter has other bytes than it should
// from a position on.
func (d *Disk) soil(f *file, position int64, should []byte) {
	for i, c := range should {
		if f.durable[position+int64(i)] != c {
			p := position + int64(i)
			d.wound(spot{f, p / sector}, func(w *wound) { w.bad[p%sector] = true })
		}
	}
}

// readStale takes a write out of what a read has found, if one is to be missed: logs are
// written in pieces, and it is the last piece of a sector.
func (d *Disk) readStale(f *file, data []byte) {
	if d.stale == 0 || !strings.HasSuffix(f.name, segments) || len(data) == 0 {
		return
	}
	d.stale--
	d.operations++
	at := prng.Scale(prng.Hash(d.seed, d.operations, drawElsewhere), int64(len(data))) / sector * sector
	end := min(at+sector, int64(len(data)))
	clear(data[at+prng.Scale(prng.Hash(d.seed, d.operations, drawMissed), end-at) : end])
}
