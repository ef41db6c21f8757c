package segment

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/reprise-mq/reprise/broker/api"
)

// mend restores a file from a copy, in pieces of a size, and gives the error of the
// first that is refused.
func mend(d *disk, file Broken, copied []byte, piece int) error {
	var m *Mend
	NewMend(d.log(), file, func(begun *Mend, _ error) { m = begun })
	d.run()
	for {
		position, length, more := m.Next(piece)
		if !more {
			break
		}
		if position >= int64(len(copied)) {
			return ErrGone
		}
		if err := m.Take(copied[position:min(position+int64(length), int64(len(copied)))]); err != nil {
			return err
		}
	}
	err := errors.New("not finished")
	m.Finish(func(_ Broken, _ api.Index, e error) { err = e })
	d.run()
	return err
}

// A file is whole again after a mend from a whole copy, whatever was wrong with it. A
// copy with any byte changed is refused, and leaves nothing in the file that was not
// there or does not belong there.
func TestMend(t *testing.T) {
	whole, _ := small(t)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		index, _ := parseName(folder, name)
		good := whole[name]
		file := Broken{File: File{index, int64(len(good))}}
		bad := bytes.Repeat([]byte{0xa5}, len(good))
		spoilt := func() *disk {
			files := maps.Clone(whole)
			files[name] = bytes.Clone(bad)
			return diskOf(files)
		}
		for _, piece := range []int{1, 7, 60, len(good)} {
			d := spoilt()
			if err := mend(d, file, good, piece); err != nil || !bytes.Equal(contents(d)[name], good) {
				t.Fatalf("%s in pieces of %d: %v", name, piece, err)
			}
		}
		for i := range good {
			d := spoilt()
			copied := bytes.Clone(good)
			copied[i] ^= 4
			if err := mend(d, file, copied, len(good)); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s with byte %d changed: %v", name, i, err)
			}
			for k, b := range contents(d)[name] {
				if b != bad[k] && b != good[k] {
					t.Fatalf("%s: byte %d of a bad copy was written", name, k)
				}
			}
		}
	}
}

// A whole file of another place in the log is no copy, nor is a longer or shorter one.
func TestMendFromAnotherFile(t *testing.T) {
	whole, _ := small(t)
	names := slices.Sorted(maps.Keys(whole))
	index, _ := parseName(folder, names[0])
	good := whole[names[0]]
	for _, test := range []struct {
		what   string
		length int
		copied []byte
	}{
		{"another file", len(whole[names[1]]), whole[names[1]]},
		{"a file that ends in a frame", len(good) - 1, good},
	} {
		if err := mend(diskOf(whole), Broken{File: File{index, int64(test.length)}}, test.copied, len(good)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", test.what, err)
		}
	}
}

// followed gives the files of a log that another one follows.
func followed(whole map[string][]byte) (list []Broken) {
	names := slices.Sorted(maps.Keys(whole))
	for i, name := range names[:len(names)-1] {
		index, _ := parseName(folder, name)
		next, _ := parseName(folder, names[i+1])
		list = append(list, Broken{File: File{Segment: index}, Last: next})
	}
	return list
}

// A file that another one follows ends there, whatever length it had or a peer's copy has:
// it is whole again if it was too short, too long, or not there.
func TestMendToWhereTheNextBegins(t *testing.T) {
	whole, _ := small(t)
	for _, file := range followed(whole) {
		name := file.Name(folder)
		good := whole[name]
		for what, bad := range map[string][]byte{
			"not there": nil, "empty": {}, "cut": good[:len(good)/2], "longer": append(bytes.Clone(good), 1, 2, 3),
		} {
			for _, piece := range []int{1, 60, 1 << 20} {
				files := maps.Clone(whole)
				delete(files, name)
				if bad != nil {
					files[name] = bad
				}
				d := diskOf(files)
				copied := append(bytes.Clone(good), "and what a peer has too much"...)
				if err := mend(d, file, copied, piece); err != nil || !bytes.Equal(contents(d)[name], good) {
					t.Errorf("%s is %s, mended in pieces of %d: %v", name, what, piece, err)
				}
				d.crash()
				if !bytes.Equal(contents(d)[name], good) {
					t.Errorf("%s, which was %s, is not whole after a crash", name, what)
				}
			}
		}
		d := diskOf(whole)
		if err := mend(d, file, good[:len(good)-1], 1<<20); err == nil {
			t.Errorf("%s is taken for whole without its last byte", name)
		}
	}
}

// Check and the scrub find a file that ends too early, if that is where a frame ends, or
// too late.
func TestWrongLengthIsFound(t *testing.T) {
	whole, synced := small(t)
	for _, file := range followed(whole) {
		name := file.Name(folder)
		raw := frames(t, whole[name])
		for what, bad := range map[string][]byte{
			"early": whole[name][:len(whole[name])-len(raw[len(raw)-1])], "late": append(bytes.Clone(whole[name]), 0),
		} {
			files := maps.Clone(whole)
			files[name] = bad
			d := diskOf(files)
			Check(d.log(), file, func(_ Broken, _ api.Index, ok bool) {
				if ok {
					t.Errorf("Check says that %s is whole, and it ends too %s", name, what)
				}
			})
			d.run()
			if file.Segment >= synced.Segment {
				continue // what is cut there is no damage, or keeps the log from opening
			}
			s, _ := opened(t, d, synced)
			found := false
			s.OnDamage(func(at api.Index) { found = found || at == file.Segment })
			for range 20 {
				s.Scrub(100)
				d.run()
			}
			if !found {
				t.Errorf("%s ends too %s, and the scrub goes by", name, what)
			}
			if broken, _ := s.Broken(file.Segment); mend(d, broken, whole[name], 1<<20) != nil {
				t.Errorf("%s, which ended too %s, is not mended", name, what)
			} else {
				broken.Length = int64(len(whole[name]))
				s.Mended(broken)
			}
			found = false
			for range 20 {
				s.Scrub(100)
				d.run()
			}
			rightOrDamaged(t, d, s)
			if found || s.Manifest()[0].Length != int64(len(whole[s.segments[0].name])) {
				t.Errorf("%s ended too %s, is mended, and not taken for whole", name, what)
			}
		}
	}
}

// A log whose oldest files are missing opens, says which one is, and has it, with its
// terms, when it was restored.
func TestOldestFilesMissing(t *testing.T) {
	whole, synced := small(t)
	less := maps.Clone(whole)
	var missing []Broken
	for _, file := range followed(whole) {
		if file.Segment < synced.Segment {
			missing = append(missing, file)
			delete(less, file.Name(folder))
		}
	}
	if len(missing) != 2 {
		t.Fatalf("%d files are taken away", len(missing))
	}
	d := diskOf(less)
	s, _ := opened(t, d, synced)
	if _, lacks := s.Missing(s.Start()); lacks {
		t.Error("a log that reaches down to where it must lacks a file")
	}
	for i := len(missing) - 1; i >= 0; i-- {
		file, lacks := s.Missing(0)
		if !lacks || file != missing[i] {
			t.Fatalf("missing is %v, %t; want %v", file, lacks, missing[i])
		}
		good := whole[file.Name(folder)]
		if err := mend(d, file, good, 1<<20); err != nil {
			t.Fatal(err)
		}
		file.Length = int64(len(good))
		taken := false
		s.Extend(file, func(ok bool) { taken = ok })
		d.run()
		if !taken {
			t.Fatalf("segment %d is not taken in", file.Segment)
		}
	}
	if _, lacks := s.Missing(0); lacks || s.First() != 1 || s.Start() != 0 {
		t.Errorf("the log begins at entry %d, offset %d", s.First(), s.Start())
	}
	rightOrDamaged(t, d, s)
	other, _ := opened(t, diskOf(whole), synced)
	if !slices.Equal(s.terms, other.terms) || !slices.Equal(s.Manifest(), other.Manifest()) {
		t.Errorf("terms %v, files %v; want %v, %v", s.terms, s.Manifest(), other.terms, other.Manifest())
	}
}

// Check and the scrub find every byte of a log that is changed.
func TestCheckAndScrub(t *testing.T) {
	whole, synced := small(t)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		index, _ := parseName(folder, name)
		for i := range whole[name] {
			files := maps.Clone(whole)
			files[name] = bytes.Clone(whole[name])
			files[name][i] ^= 1
			d := diskOf(files)
			Check(d.log(), Broken{File: File{index, int64(len(whole[name]))}}, func(_ Broken, _ api.Index, ok bool) {
				if ok {
					t.Errorf("byte %d of %s is changed, and Check says that it is whole", i, name)
				}
			})
			d.run()
			d = diskOf(whole)
			s, _ := opened(t, d, synced)
			found := false
			s.OnDamage(func(at api.Index) { found = found || at == index })
			d.visible[name].visible = files[name]
			for range 20 {
				s.Scrub(100)
				d.run()
			}
			if !found {
				t.Errorf("byte %d of %s is changed, and the scrub goes by", i, name)
			}
		}
	}
}
