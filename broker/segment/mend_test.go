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
func mend(d *disk, file File, copied []byte, piece int) error {
	m := NewMend(d.files, folder, file)
	for {
		position, length, more := m.Next(piece)
		if !more {
			break
		}
		if err := m.Take(copied[position : position+int64(length)]); err != nil {
			return err
		}
	}
	err := errors.New("not finished")
	m.Finish(func(e error) { err = e })
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
		file := File{index, int64(len(good))}
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
		if err := mend(diskOf(whole), File{index, int64(test.length)}, test.copied, len(good)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", test.what, err)
		}
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
			Check(d.files, folder, File{index, int64(len(whole[name]))}, func(ok bool, err error) {
				if ok || err != nil {
					t.Errorf("byte %d of %s is changed, and Check says %t, %v", i, name, ok, err)
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
