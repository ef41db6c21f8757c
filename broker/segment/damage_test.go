package segment

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
)

// contents is a copy of all files.
func contents(d *disk) map[string][]byte {
	c := map[string][]byte{}
	for name, f := range d.visible {
		c[name] = bytes.Clone(f.visible)
	}
	return c
}

// diskOf has the files as they are, all certain.
func diskOf(c map[string][]byte) *disk {
	d := newDisk(1)
	for name, b := range c {
		f := &file{visible: bytes.Clone(b), durable: bytes.Clone(b)}
		d.visible[name], d.durable[name] = f, f
	}
	return d
}

// small is a log of four segments, synced up to a position in the third.
func small(t *testing.T) (files map[string][]byte, synced Position) {
	d := newDisk(1)
	s := Create(d.log(), firstState)
	for len(s.segments) < 4 || s.Last() < s.active().index+4 {
		appendRecords(s, 1+api.Term(s.Last())/4)
		if len(s.segments) < 4 && s.Full(700) {
			s.Roll(stateOf(s))
		}
		if len(s.segments) == 3 && s.Last() == s.active().index+2 {
			synced = checkpointed(t, d, s)
		}
	}
	d.run()
	return contents(d), synced
}

// rightOrDamaged reads everything, and allows refusals but no wrong data.
func rightOrDamaged(t *testing.T, d *disk, s *Store) {
	t.Helper()
	s.tail = tail{}
	for i := s.First() + 1; i <= s.Last(); i++ {
		s.Entries(i, 0, func(got []*raftpb.Entry, err error) {
			if err == nil && (got[0].GetIndex() != uint64(i) || !bytes.Equal(got[0].GetData(), dataOf(i))) {
				t.Fatalf("entry %d: %v", i, got[0])
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("entry %d: %v", i, err)
			}
		})
		if term, _ := s.Term(i); term != 1+api.Term(i-1)/4 {
			t.Fatalf("term of %d: %d", i, term)
		}
	}
	for o := s.Start(); o < s.Next(); o++ {
		s.Read(o, 0, func(got []Frame, err error) {
			i := api.Index(o/3) + 2
			if err == nil && (got[0].Index != i || !bytes.Equal(got[0].Data, dataOf(i))) {
				t.Fatalf("offset %d: %+v", o, got[0])
			}
			if err != nil && !errors.Is(err, ErrDamaged) {
				t.Fatalf("offset %d: %v", o, err)
			}
		})
	}
	d.run()
}

// Each byte of each file is changed in turn.
func TestAnyChangedByteIsNoticed(t *testing.T) {
	whole, synced := small(t)
	last := api.Index(0)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		index, _ := parseName(folder, name)
		last = max(last, index)
		for at := range whole[name] {
			changed := maps.Clone(whole)
			changed[name] = bytes.Clone(whole[name])
			changed[name][at] ^= 0x10
			d := diskOf(changed)
			s, tail, err := open(d, synced)
			sure := index < synced.Segment || index == synced.Segment && int64(at) < synced.Length
			switch {
			case err != nil && !errors.Is(err, ErrDamaged):
				t.Fatalf("%s at %d: %v", name, at, err)
			case err != nil && !sure:
				t.Fatalf("%s at %d: %v, synced only to %v", name, at, err, synced)
			case err != nil:
				if now := contents(d); !maps.EqualFunc(now, changed, bytes.Equal) {
					t.Fatalf("%s at %d: a damaged log was altered", name, at)
				}
			case index == synced.Segment && sure:
				t.Fatalf("%s at %d: opened", name, at)
			case !sure && !tail.torn.Any:
				t.Fatalf("%s at %d: nothing cut", name, at)
			case !sure && (s.Last() < synced.Index || tail.torn.State != (index > synced.Segment && s.active().index < index)):
				t.Fatalf("%s at %d: opened up to %d, state torn %v", name, at, s.Last(), tail.torn.State)
			default:
				rightOrDamaged(t, d, s)
			}
		}
	}
}

// Each file is cut at each length, and taken away.
func TestAnyMissingEndIsNoticed(t *testing.T) {
	whole, synced := small(t)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		index, _ := parseName(folder, name)
		for length := -1; length < len(whole[name]); length++ {
			cut := maps.Clone(whole)
			delete(cut, name)
			if length >= 0 {
				cut[name] = whole[name][:length]
			}
			d := diskOf(cut)
			s, _, err := open(d, synced)
			sure := index < synced.Segment || index == synced.Segment && int64(length) < synced.Length
			switch {
			case err != nil && !errors.Is(err, ErrDamaged):
				t.Fatalf("%s cut at %d: %v", name, length, err)
			case err != nil && !sure:
				t.Fatalf("%s cut at %d: %v, synced only to %v", name, length, err, synced)
			case err == nil && index == synced.Segment && sure:
				t.Fatalf("%s cut at %d: opened", name, length)
			case err == nil && length < 0 && index > 1 && sure:
				t.Fatalf("%s taken away: opened", name)
			case err == nil:
				rightOrDamaged(t, d, s)
			}
		}
	}
}

// manifestOf lists the files of a log.
func manifestOf(whole map[string][]byte) (manifest []File) {
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		index, _ := parseName(folder, name)
		manifest = append(manifest, File{index, int64(len(whole[name]))})
	}
	return manifest
}

// An import vouches for every byte, also of old segments, which Open trusts.
func TestImportChecksEveryByte(t *testing.T) {
	whole, _ := small(t)
	manifest := manifestOf(whole)
	for _, file := range manifest {
		for at := int64(0); at < file.Length; at += 5 {
			d := newDisk(1)
			im := NewImport(d.log(), manifest)
			for {
				segment, position, length, ok := im.Next(1 << 20)
				if !ok {
					break
				}
				data := bytes.Clone(whole[fileName(folder, segment)][position:][:length])
				if segment == file.Segment {
					data[at] ^= 1
				}
				im.Write(segment, position, data)
			}
			err := error(nil)
			im.Finish(func(_ *Store, _ Tail, e error) { err = e })
			d.run()
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("segment %d changed at %d: %v", file.Segment, at, err)
			}
			if len(d.visible) != len(manifest) {
				t.Fatalf("segment %d changed at %d: files removed", file.Segment, at)
			}
		}
	}
}

// copyFrom gives an import up to so many bytes of what it asks for.
func copyFrom(whole map[string][]byte, im *Import, bytes int) {
	for bytes > 0 {
		segment, position, length, ok := im.Next(min(bytes, 64))
		if !ok {
			return
		}
		im.Write(segment, position, whole[fileName(folder, segment)][position:][:length])
		bytes -= length
	}
}

// A copy that has come to any byte goes on by the manifest of a peer that has more, or less,
// of the log, and is that peer's log then; or says that it cannot.
func TestImportContinues(t *testing.T) {
	whole, _ := small(t)
	all := manifestOf(whole)
	total := 0
	for _, file := range all {
		total += int(file.Length)
	}
	less := slices.Clone(all[:len(all)-1])
	for _, from := range [][]File{all, less} {
		for _, to := range [][]File{all, less} {
			for at := 0; at <= total; at += 3 {
				d := newDisk(1)
				im := NewImport(d.log(), from)
				copyFrom(whole, im, at)
				before, _ := im.Progress()
				_, _, _, unfinished := im.Next(1)
				size := int64(0)
				for _, file := range to {
					size += file.Length
				}
				if went := im.Continue(to); went != (unfinished && before <= size && (before < size || len(to) == len(from))) {
					t.Fatalf("%d files, at byte %d, continued as %d files: %t", len(from), before, len(to), went)
				} else if !went {
					continue
				}
				if after, of := im.Progress(); after != before || of != size {
					t.Fatalf("%d of %d bytes after it, %d before", after, of, before)
				}
				copyFrom(whole, im, total)
				err := errors.New("no answer")
				im.Finish(func(_ *Store, _ Tail, e error) { err = e })
				d.run()
				if err != nil || len(d.visible) != len(to) {
					t.Fatalf("%d files, at byte %d, continued as %d files: %v, %d files", len(from), at, len(to), err, len(d.visible))
				}
			}
		}
	}
}

// What is of another log, or of one that begins or ends elsewhere, is not gone on with.
func TestImportContinuesItsOwnLogOnly(t *testing.T) {
	whole, _ := small(t)
	all := manifestOf(whole)
	other := slices.Clone(all)
	other[0].Length++
	short := slices.Clone(all[:2])
	short[1].Length = 39
	for name, to := range map[string][]File{"begins later": all[1:], "another first file": other, "ends before": short, "a file less": all[:1]} {
		d := newDisk(1)
		im := NewImport(d.log(), all)
		copyFrom(whole, im, int(all[0].Length)+40)
		segment, position, length, _ := im.Next(64)
		if im.Continue(to) {
			t.Errorf("%s: continued", name)
		}
		if s, p, l, _ := im.Next(64); s != segment || p != position || l != length {
			t.Errorf("%s: asks for %d bytes at %d of segment %d", name, l, p, s)
		}
	}
}

func TestLogWithoutFilesIsDamaged(t *testing.T) {
	for _, synced := range []Position{{}, {Index: 5, Segment: 1, Length: 300}} {
		if _, _, err := open(newDisk(1), synced); !errors.Is(err, ErrDamaged) {
			t.Errorf("synced to %v: %v", synced, err)
		}
	}
}

// A zero position promises the first state frame only: the rest is kept as far as
// it goes.
func TestZeroPositionKeepsWhatIsThere(t *testing.T) {
	whole, _ := small(t)
	d := diskOf(whole)
	s, tail := opened(t, d, Position{})
	if tail.torn.Any || len(s.segments) != 4 || s.certain != (Position{}) {
		t.Fatalf("torn %v, segments %v", tail.torn.Any, s.Manifest())
	}
	rightOrDamaged(t, d, s)
	second := s.segments[1].name
	whole[second] = whole[second][:100]
	s, tail = opened(t, diskOf(whole), Position{})
	if !tail.torn.Any || len(s.segments) > 2 {
		t.Fatalf("torn %v, segments %v", tail.torn.Any, s.Manifest())
	}
}

// frames gives the frames of a file, as they are encoded.
func frames(t *testing.T, b []byte) (raw [][]byte) {
	for len(b) > 0 {
		_, rest, err := DecodeFrame(testGroup, b)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b[:len(b)-len(rest)])
		b = rest
	}
	return raw
}

// A frame that is whole but belongs elsewhere, as a misdirected write leaves it.
func TestFrameInTheWrongPlaceIsNoticed(t *testing.T) {
	whole, synced := small(t)
	for _, index := range []api.Index{1, synced.Segment} {
		name := fileName(folder, index)
		raw := frames(t, whole[name])
		fr, _, _ := DecodeFrame(testGroup, raw[1])
		for what, change := range map[string]func(*Frame){
			"index":  func(fr *Frame) { fr.Index++ },
			"offset": func(fr *Frame) { fr.Base++ },
			"term":   func(fr *Frame) { fr.Term += 9 }, // the next one's goes back
			"state":  func(fr *Frame) { fr.Kind, fr.Count = KindState, 0 },
		} {
			wrong := fr
			change(&wrong)
			changed := maps.Clone(whole)
			changed[name] = slices.Concat(raw[0], appendFrame(testGroup, nil, &wrong), slices.Concat(raw[2:]...))
			d := diskOf(changed)
			s, _, err := open(d, synced)
			if index == 1 && err != nil || index > 1 && !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s of a frame in segment %d: %v", what, index, err)
			}
			if err == nil {
				var failure error
				s.tail = tail{}
				s.Read(s.Start(), 1<<20, func(_ []Frame, e error) { failure = e })
				d.run()
				if what != "term" && !errors.Is(failure, ErrDamaged) {
					t.Fatalf("%s of a frame in segment %d: read: %v", what, index, failure)
				}
			}
		}
	}
}

// A state frame must tell what the frames before it do.
func TestStateThatTellsOtherwiseIsNoticed(t *testing.T) {
	whole, synced := small(t)
	d := diskOf(whole)
	s, _ := opened(t, d, synced)
	last := s.active()
	if last.index <= synced.Segment {
		t.Fatal("no segment above the synced position")
	}
	raw := frames(t, whole[last.name])
	fr, _, _ := DecodeFrame(testGroup, raw[0])
	before := s.segments[len(s.segments)-2].index
	st := stateOf(s)
	st.Index, st.Term, st.Next = fr.Index, fr.Term, fr.Base
	starts := slices.DeleteFunc(slices.Clone(s.startsAbove(before)), func(s termStart) bool { return s.index > last.index })
	for what, wrong := range map[string]Frame{
		"nothing": encodeState(&st, fr.Count, s.startBelow(before), starts),
		"count":   encodeState(&st, fr.Count-1, s.startBelow(before), starts),
		"starts":  encodeState(&st, fr.Count, s.startBelow(before), []termStart{{starts[0].index - 1, fr.Term}}),
		"offset":  encodeState(&State{Index: st.Index, Term: st.Term, Next: st.Next + 1, Conf: st.Conf}, fr.Count, s.startBelow(before), starts),
	} {
		changed := maps.Clone(whole)
		changed[last.name] = slices.Concat(appendFrame(testGroup, nil, &wrong), slices.Concat(raw[1:]...))
		_, tail := opened(t, diskOf(changed), synced)
		if tail.torn.State != (what != "nothing") {
			t.Errorf("%s wrong: state torn %v", what, tail.torn.State)
		}
	}
}

// Where terms say nothing, the count of the state frame does.
func TestMissingSegmentIsNoticed(t *testing.T) {
	d := newDisk(1)
	s := Create(d.log(), firstState)
	for len(s.segments) < 5 {
		appendRecords(s, 1)
		if s.Full(700) {
			s.Roll(stateOf(s))
		}
	}
	at := checkpointed(t, d, s)
	for _, g := range s.segments[1:] {
		left := contents(d)
		delete(left, g.name)
		if _, _, err := open(diskOf(left), at); !errors.Is(err, ErrDamaged) {
			t.Errorf("without %s: %v", g.name, err)
		}
	}
}

// A file that shrinks under an open store.
func TestReadOfAFileThatWasCut(t *testing.T) {
	whole, synced := small(t)
	for _, name := range slices.Sorted(maps.Keys(whole)) {
		for length := range whole[name] {
			d := diskOf(whole)
			s, _ := opened(t, d, synced)
			d.visible[name].visible = whole[name][:length]
			rightOrDamaged(t, d, s)
		}
	}
}

// What cannot be read is damaged as far as it was promised, and nothing is changed. A
// part of an open log that cannot be read is told of.
func TestErrorsOfTheDiskArePassedOn(t *testing.T) {
	whole, synced := small(t)
	for n := 1; ; n++ {
		d := diskOf(whole)
		d.failLoad = n
		_, _, err := open(d, synced)
		if err == nil {
			if n < 6 {
				t.Fatalf("%d loads to open", n)
			}
			break
		}
		if !errors.Is(err, env.ErrIO) && !errors.Is(err, ErrDamaged) || !maps.EqualFunc(contents(d), whole, bytes.Equal) {
			t.Fatalf("load %d fails: %v", n, err)
		}
	}
	d := diskOf(whole)
	s, _ := opened(t, d, synced)
	s.tail = tail{}
	d.failLoad = 1
	failures, told := 0, 0
	s.OnDamage(func(api.Index) { told++ })
	check := func(err error) {
		failures++
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("read fails: %v", err)
		}
	}
	s.Read(0, 1, func(_ []Frame, err error) { check(err) })
	s.Entries(2, 1, func(_ []*raftpb.Entry, err error) { check(err) })
	s.Copy(1, 0, 1, func(_ []byte, err error) { check(err) })
	d.run()
	if failures != 3 || told != 3 {
		t.Errorf("%d answers, told %d times", failures, told)
	}
}

// A file that was cut behind its state frame, which another one follows, is found by the scrub.
func TestScrubFindsAFileOfItsStateAlone(t *testing.T) {
	whole, synced := small(t)
	for _, file := range followed(whole) {
		name := file.Name(folder)
		fr, _, err := DecodeFrame(testGroup, whole[name])
		if err != nil {
			t.Fatal(err)
		}
		if file.Segment >= synced.Segment {
			continue
		}
		files := maps.Clone(whole)
		files[name] = whole[name][:fr.bytes()]
		d := diskOf(files)
		s, _ := opened(t, d, synced)
		var found []api.Index
		s.OnDamage(func(i api.Index) { found = append(found, i) })
		for range 200 {
			s.Scrub(1 << 20)
			d.run()
		}
		if len(found) == 0 {
			t.Errorf("segment %d is its state frame alone, and 200 rounds of the scrub say nothing; manifest %v", file.Segment, s.Manifest())
		}
	}
}
