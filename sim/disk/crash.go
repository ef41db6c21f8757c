package disk

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/sim/prng"
)

// sector is the unit that a write reaches the platter in, whole or not at all.
const sector = 512

// Crash says how hard a power failure hits what was not synced. Each file, and
// the names in each folder, are treated on their own, so writes of different
// files are reordered: with the given chances out of a hundred everything
// unsynced is lost, or each change meets its own fate; otherwise everything was
// written, only nobody heard.
type Crash struct {
	// Lose and Mix are chances out of a hundred; together at most 100.
	Lose, Mix int64
	// Tear is the chance out of a hundred that a change which meets its own fate
	// is torn at a sector.
	Tear int64
}

// Loss is what a crash took.
type Loss struct {
	// Bytes of unsynced writes that are gone, Writes that were lost whole, Torn
	// in part, Names that were made or taken away in vain.
	Bytes, Writes, Torn, Names int
}

// Kill ends the life of the process and leaves the disk as the process saw it. What
// was not synced still is not, and a crash of the next life may take it.
func (d *Disk) Kill() {
	d.life++
	for _, name := range d.Names() {
		d.files[name].lane = lane{}
	}
	for _, name := range slices.Sorted(maps.Keys(d.folders)) {
		d.folders[name].lane = lane{}
	}
}

// Image is what a disk had at some time.
type Image struct {
	files   map[string]*file
	folders map[string]*folder
}

// Wipe ends the life of the process and takes all there is, as it stands.
func (d *Disk) Wipe() Image {
	d.life++
	was := Image{d.files, d.folders}
	d.files, d.folders = make(map[string]*file), map[string]*folder{"": newFolder("")}
	return was
}

// Restore gives a wiped disk what it had.
func (d *Disk) Restore(was Image) { d.files, d.folders = was.files, was.folders }

// PowerOff ends the life of the process and decides what is left of every change
// that was not synced.
func (d *Disk) PowerOff(c Crash) Loss {
	d.life++
	d.crashes++
	var loss Loss
	p := power{disk: d, crash: c, loss: &loss, files: make(map[string]*file), folders: make(map[string]*folder)}
	root := d.folders[""]
	p.folder(root)
	d.files, d.folders = p.files, p.folders
	return loss
}

// power is one failure of the power under way.
type power struct {
	disk  *Disk
	crash Crash
	loss  *Loss
	// What is left.
	files   map[string]*file
	folders map[string]*folder
}

type fate uint8

const (
	keep fate = iota
	lose
	mix
)

func (p *power) draw(parts ...uint64) uint64 {
	return prng.Hash(prng.Hash(p.disk.seed, p.disk.crashes), parts...)
}

func (p *power) fate(of uint64) fate {
	switch x := prng.Scale(p.draw(of, drawMode), 100); {
	case x < p.crash.Lose:
		return lose
	case x < p.crash.Lose+p.crash.Mix:
		return mix
	default:
		return keep
	}
}

// folder decides about the names in a folder, then about what they stand for.
func (p *power) folder(f *folder) {
	p.folders[f.name] = f
	p.names(f)
	f.lane = lane{}
	for _, name := range slices.Sorted(maps.Keys(f.durable)) {
		p.file(f.durable[name])
	}
	for _, name := range slices.Sorted(maps.Keys(f.folders)) {
		p.folder(f.folders[name])
	}
}

// names keeps, of the changes of each name, so many from the first on.
func (p *power) names(f *folder) {
	changes := make(map[string][]rename)
	for _, r := range f.pending {
		changes[r.name] = append(changes[r.name], r)
	}
	fate := p.fate(prng.HashString(f.name))
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		all := changes[name]
		n := len(all)
		switch fate {
		case lose:
			n = 0
		case mix:
			n = int(prng.Scale(p.draw(prng.HashString(name), drawNames), int64(len(all))+1))
		case keep:
		}
		for _, r := range all[:n] {
			f.apply(r)
		}
		p.loss.Names += len(all) - n
	}
	f.settled += uint64(len(f.pending))
	f.pending = nil
}

// file decides about the unsynced changes of a file.
func (p *power) file(f *file) {
	p.files[f.name] = f
	fate := p.fate(f.number)
	for i, c := range f.pending {
		number := f.settled + uint64(i)
		switch {
		case fate == keep:
			p.reached(f, c)
		case fate == lose:
			p.lost(c)
		default:
			p.mixed(f, c, number)
		}
	}
	f.settled += uint64(len(f.pending))
	f.pending = nil
	f.seen = slices.Clone(f.durable)
	f.lane = lane{}
}

// mixed gives one change its own fate.
func (p *power) mixed(f *file, c change, number uint64) {
	switch {
	case c.data != nil && prng.Scale(p.draw(f.number, number, drawShape), 100) < p.crash.Tear:
		p.torn(f, c, number)
	case p.draw(f.number, number, drawKeep)&1 == 0:
		p.reached(f, c)
	default:
		p.lost(c)
	}
}

// reached applies a change that was on the platter before the power failed.
func (p *power) reached(f *file, c change) {
	f.durable = c.apply(f.durable)
	p.disk.mended(f, c)
}

func (p *power) lost(c change) {
	if c.data != nil {
		p.loss.Writes++
		p.loss.Bytes += len(c.data)
	}
}

// torn writes some sectors of a change: a prefix, a suffix, a middle part, or all
// but a hole.
func (p *power) torn(f *file, c change, number uint64) {
	first := c.position / sector
	count := (c.position+int64(len(c.data))-1)/sector - first + 1
	from := prng.Scale(p.draw(f.number, number, drawFrom), count+1)
	to := prng.Scale(p.draw(f.number, number, drawTo), count+1)
	if p.draw(f.number, number, drawSize)&1 == 0 {
		// The new size may have been written without the data.
		f.durable = resize(f.durable, max(int64(len(f.durable)), c.position+int64(len(c.data))))
	}
	from, to = min(from, to), max(from, to)
	keeps := [4]func(int64) bool{
		func(s int64) bool { return s < from },
		func(s int64) bool { return s >= from },
		func(s int64) bool { return s >= from && s < to },
		func(s int64) bool { return s < from || s >= to },
	}[prng.Scale(p.draw(f.number, number, drawShape, drawFrom), 4)]
	p.loss.Torn++
	for s := range count {
		start := max((first+s)*sector, c.position) - c.position
		end := min((first+s+1)*sector-c.position, int64(len(c.data)))
		if keeps(s) {
			p.reached(f, change{position: c.position + start, data: c.data[start:end]})
		} else {
			p.loss.Bytes += int(end - start)
		}
	}
}
