package zstd_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/batch/zstd"
)

func TestRoundTrip(t *testing.T) {
	codec := zstd.New()
	rapid.Check(t, func(t *rapid.T) {
		plain := bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"), rapid.IntRange(0, 2000).Draw(t, "times"))
		packed := codec.Compress([]byte("before"), plain)
		if !bytes.HasPrefix(packed, []byte("before")) {
			t.Fatalf("Compress changed what it appends to")
		}
		packed = packed[len("before"):]
		if got, err := codec.Decompress(packed, len(plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %d bytes, %v; want %d", len(got), err, len(plain))
		}
		if len(plain) == 0 {
			return
		}
		if _, err := codec.Decompress(packed, len(plain)-1); !errors.Is(err, batch.ErrTooLarge) {
			t.Fatalf("one byte over the limit: %v", err)
		}
	})
}

// TestForeignFrame: frames of the reference tool (zstd -3 of "hello hello hello
// hello\n" from a pipe, so without a size), one and two in a row.
func TestForeignFrame(t *testing.T) {
	frame, err := hex.DecodeString("28b52ffd04586d00003868656c6c6f200a0100994b11a87c2ea8")
	if err != nil {
		t.Fatal(err)
	}
	codec, text := zstd.New(), []byte("hello hello hello hello\n")
	for n := 1; n <= 2; n++ {
		want := bytes.Repeat(text, n)
		got, err := codec.Decompress(bytes.Repeat(frame, n), len(want))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d frames: %q, %v", n, got, err)
		}
		if _, err := codec.Decompress(bytes.Repeat(frame, n), len(want)-1); !errors.Is(err, batch.ErrTooLarge) {
			t.Errorf("%d frames over the limit: %v", n, err)
		}
	}
}

// TestBomb: what would decompress to far more than the limit is refused before it
// is built, whether the frame says so or not.
func TestBomb(t *testing.T) {
	codec := zstd.New()
	said := codec.Compress(nil, make([]byte, 64<<20))
	quiet := quietBomb(512)
	const limit = 256 << 10
	for name, bomb := range map[string][]byte{"said": said, "quiet": quiet} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Decompress(bomb, limit)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, batch.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 16*limit {
			t.Errorf("%s: refusing it allocated %d bytes", name, spent)
		}
	}
}

// quietBomb is a frame without a size, of blocks that each repeat one byte 128 Ki
// times.
func quietBomb(blocks int) []byte {
	// Magic, a descriptor without size or checksum, a window of 128 KiB.
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38}
	for i := range blocks {
		header := uint32(128<<10)<<3 | 1<<1
		if i == blocks-1 {
			header |= 1
		}
		b = append(b, byte(header), byte(header>>8), byte(header>>16), 0)
	}
	return b
}

func FuzzDecompress(f *testing.F) {
	codec := zstd.New()
	f.Add(codec.Compress(nil, []byte("some text, some text, some text")))
	f.Add(quietBomb(2))
	f.Fuzz(func(t *testing.T, packed []byte) {
		const limit = 1 << 20
		plain, err := codec.Decompress(packed, limit)
		if err != nil {
			if !errors.Is(err, batch.ErrCorrupt) && !errors.Is(err, batch.ErrTooLarge) {
				t.Fatalf("an error outside the contract: %v", err)
			}
			return
		}
		if len(plain) > limit {
			t.Fatalf("%d bytes, over the limit", len(plain))
		}
		if again, err := codec.Decompress(codec.Compress(nil, plain), limit); err != nil || !bytes.Equal(again, plain) {
			t.Fatalf("after a round trip %d bytes, %v; want %d", len(again), err, len(plain))
		}
	})
}

func TestInABatch(t *testing.T) {
	codec := zstd.New()
	data, err := batch.Encode([]batch.Record{{Value: make([]byte, 10_000)}}, batch.NoProducer, codec)
	if err != nil || len(data) > 1000 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	info, err := batch.Validate(data, batch.NewCodecs(codec), 20_000)
	if err != nil || info.Compression != batch.Zstd {
		t.Errorf("got %+v, %v", info, err)
	}
	if _, err := batch.Validate(data, batch.NewCodecs(codec), 5_000); !errors.Is(err, batch.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}
