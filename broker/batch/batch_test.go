package batch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
)

// plain accepts what needs no codec.
var plain = NewCodecs()

func encode(t testing.TB, codec Codec, producer Producer, records ...Record) []byte {
	t.Helper()
	data, err := Encode(records, producer, codec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Batches as they were seen on the wire of real Kafka brokers and clients.
var captured = []struct {
	from, hex string
	info      Info
	records   []Record
}{
	{
		"a Kafka 0.11 broker, value 123",
		"0000000000000000 0000003b 00000001 02 0318a270 0000 00000000" +
			"0000015dff7b063c 0000015dff7b063c ffffffffffffffff ffff ffffffff 00000001" +
			"12 00 00 00 01 06313233 00",
		Info{Length: 71, Count: 1, BaseTimestamp: 1503229838908, MaxTimestamp: 1503229838908},
		[]Record{{Value: []byte("123"), Timestamp: 1503229838908}},
	},
	{
		"a Kafka 0.11 broker, two empty values",
		"0000000000000001 00000040 00000002 02 c85cbd23 0000 00000001" +
			"0000015dff7cdd6c 0000015dff7cde14 ffffffffffffffff ffff ffffffff 00000002" +
			"0c 00 00 00 01 00 00  0e 00 d002 02 01 00 00",
		Info{BaseOffset: 1, Length: 76, Count: 2, BaseTimestamp: 1503229959532, MaxTimestamp: 1503229959700},
		[]Record{{Value: []byte{}, Timestamp: 1503229959532}, {Value: []byte{}, Timestamp: 1503229959700}},
	},
	{
		"librdkafka, with a header and an empty key",
		"0000000000000000 0000004b 00000000 02 2724fecd 0000 00000000" +
			"0000000061d59b77 0000000061d59b77 ffffffffffffffff ffff ffffffff 00000001" +
			"32 00 00 00 00 1668656c6c6f206b61666b61 02 06666f6f 06626172",
		Info{Length: 87, Count: 1, BaseTimestamp: 1641388919, MaxTimestamp: 1641388919},
		[]Record{{Key: []byte{}, Value: []byte("hello kafka"), Timestamp: 1641388919,
			Headers: []Header{{"foo", []byte("bar")}}}},
	},
}

func TestCaptured(t *testing.T) {
	for _, c := range captured {
		data, err := hex.DecodeString(strings.ReplaceAll(c.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		info, err := Validate(data, plain, 1000)
		if err != nil || info != c.info {
			t.Errorf("%s: got %+v, %v; want %+v", c.from, info, err, c.info)
		}
		records, err := Records(data, plain)
		if err != nil || !sameRecords(records, c.records) {
			t.Errorf("%s: got %+v, %v; want %+v", c.from, records, err, c.records)
		}
		again := encode(t, Plain{}, NoProducer, c.records...)
		SetBaseOffset(again, c.info.BaseOffset)
		copy(again[atLeaderEpoch:atMagic], data[atLeaderEpoch:])
		if !bytes.Equal(again, data) {
			t.Errorf("%s: encoded again\n%x, want\n%x", c.from, again, data)
		}
	}
}

// TestGolden holds every field of the header against bytes worked out by hand.
func TestGolden(t *testing.T) {
	data := encode(t, Plain{}, Producer{ID: 258, Epoch: 3, Sequence: 4},
		Record{Key: []byte("k"), Timestamp: 1000},
		Record{Value: []byte{}, Timestamp: 999, Headers: []Header{{"h", nil}}})
	want := "0000000000000000 00000043 ffffffff 02 fd343056 0000 00000001" +
		"00000000000003e8 00000000000003e8 0000000000000102 0003 00000004 00000002" +
		"0e 00 00 00 026b 01 00" +
		"12 00 01 02 01 00 02 0268 01"
	if got := hex.EncodeToString(data); got != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got\n%s, want\n%s", got, strings.ReplaceAll(want, " ", ""))
	}
}

func TestSetBaseOffset(t *testing.T) {
	data := encode(t, Plain{}, NoProducer, Record{Value: []byte("v")}, Record{})
	SetBaseOffset(data, 1<<40)
	info, err := Parse(data)
	if err != nil || info.BaseOffset != 1<<40 || info.Count != 2 {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestNext(t *testing.T) {
	a := encode(t, Plain{}, NoProducer, Record{Value: []byte("first")})
	b := encode(t, Plain{}, NoProducer, Record{Value: []byte("second")})
	first, rest, err := Next(bytes.Join([][]byte{a, b}, nil))
	if err != nil || !bytes.Equal(first, a) || !bytes.Equal(rest, b) {
		t.Errorf("got %x, %x, %v", first, rest, err)
	}
	if first, rest, err = Next(rest); err != nil || !bytes.Equal(first, b) || len(rest) > 0 {
		t.Errorf("got %x, %x, %v", first, rest, err)
	}
	for n := range b {
		if _, _, err := Next(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("a batch cut at %d: %v", n, err)
		}
	}
}

// TestRefused changes one thing at a time, mends the CRC, and wants a refusal.
func TestRefused(t *testing.T) {
	records := []Record{
		{Key: []byte("key"), Value: []byte("value"), Timestamp: 10},
		{Value: []byte("value"), Timestamp: 20, Headers: []Header{{"h", []byte("v")}}},
	}
	const first = headerSize
	for name, change := range map[string]func([]byte) []byte{
		"magic":               func(b []byte) []byte { b[atMagic] = 1; return b },
		"transactional":       func(b []byte) []byte { b[atAttributes+1] = 1 << 4; return b },
		"control":             func(b []byte) []byte { b[atAttributes+1] = 1 << 5; return b },
		"append time":         func(b []byte) []byte { b[atAttributes+1] = 1 << 3; return b },
		"count above delta":   func(b []byte) []byte { b[atCount+3]++; return b },
		"one record less":     func(b []byte) []byte { b[atCount+3]--; b[atLastDelta+3]--; return b },
		"one record more":     func(b []byte) []byte { b[atCount+3]++; b[atLastDelta+3]++; return b },
		"count absurd":        func(b []byte) []byte { b[atCount] = 0x7f; b[atLastDelta] = 0x7f; return b },
		"count negative":      func(b []byte) []byte { b[atCount] = 0x80; b[atLastDelta] = 0x80; return b },
		"no records":          func(b []byte) []byte { b[atCount+3] = 0; order.PutUint32(b[atLastDelta:], math.MaxUint32); return b },
		"offset negative":     func(b []byte) []byte { b[0] = 0x80; return b },
		"offset at the end":   func(b []byte) []byte { order.PutUint64(b, math.MaxInt64); return b },
		"producer 0":          func(b []byte) []byte { order.PutUint64(b[atProducerID:], 0); return b },
		"producer negative":   func(b []byte) []byte { order.PutUint64(b[atProducerID:], 1<<63); return b },
		"epoch negative":      func(b []byte) []byte { order.PutUint64(b[atProducerID:], 1); return b },
		"max timestamp":       func(b []byte) []byte { b[atMaxTimestamp+7]--; return b },
		"record attributes":   func(b []byte) []byte { b[first+1] = 1; return b },
		"offset delta":        func(b []byte) []byte { b[first+3] = 2; return b },
		"record length":       func(b []byte) []byte { b[first] += 2; return b },
		"record length short": func(b []byte) []byte { b[first] -= 2; return b },
		"length negative":     func(b []byte) []byte { b[first] = 1; return b },
		"key length":          func(b []byte) []byte { b[first+4] = 3; return b },
		"header count":        func(b []byte) []byte { b[len(b)-5] = 4; return b },
		"header count null":   func(b []byte) []byte { b[len(b)-5] = 1; return b },
		"header key null":     func(b []byte) []byte { b[len(b)-4] = 1; return b },
		"bytes left over":     func(b []byte) []byte { b = append(b, 0); order.PutUint32(b[atLength:], uint32(len(b)-12)); return b },
	} {
		data := change(encode(t, Plain{}, NoProducer, records...))
		mend(data)
		if info, err := Validate(data, plain, 1000); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: accepted as %+v, %v", name, info, err)
		}
	}
}

// TestParseChecksCount: an offset is assigned by the header alone, so Parse must
// see when it contradicts itself.
func TestParseChecksCount(t *testing.T) {
	data := encode(t, Plain{}, NoProducer, Record{}, Record{})
	data[atCount+3]--
	mend(data)
	if info, err := Parse(data); !errors.Is(err, ErrCorrupt) {
		t.Errorf("accepted as %+v, %v", info, err)
	}
}

// TestEveryBitCounts flips each bit that the CRC covers.
func TestEveryBitCounts(t *testing.T) {
	data := encode(t, Plain{}, Producer{1, 1, 1}, Record{Value: []byte("v"), Timestamp: 5})
	for bit := atCRC * 8; bit < len(data)*8; bit++ {
		data[bit/8] ^= 1 << (bit % 8)
		if _, err := Parse(data); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d of byte %d flipped: %v", bit%8, bit/8, err)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func TestLimits(t *testing.T) {
	data := encode(t, Plain{}, NoProducer, Record{Value: make([]byte, 1000)})
	if _, err := Validate(data, plain, len(data)); err != nil {
		t.Errorf("a batch just within the limit: %v", err)
	}
	if _, err := Validate(data, plain, len(data)-1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch just over the limit: %v", err)
	}
	if _, err := Encode([]Record{{Value: make([]byte, MaxBytes)}}, NoProducer, Plain{}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch over the format's limit: %v", err)
	}
	if _, err := Parse(make([]byte, MaxBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("bytes over the format's limit: %v", err)
	}
}

func TestUnsupportedCompression(t *testing.T) {
	data := encode(t, NewGzip(), NoProducer, Record{Value: []byte("v")})
	for id, name := range map[Compression]string{Gzip: "gzip", 2: "snappy", 3: "lz4", Zstd: "zstd", 7: "compression 7"} {
		data[atAttributes+1] = byte(id)
		mend(data)
		_, err := Validate(data, plain, 1000)
		if !errors.Is(err, ErrUnsupportedCompression) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSequenceAndEpochAtTheirEnds(t *testing.T) {
	want := Producer{ID: math.MaxInt64, Epoch: math.MaxInt16, Sequence: math.MaxInt32}
	info, err := Parse(encode(t, Plain{}, want, Record{}))
	if err != nil || info.Producer != want.ID || info.Epoch != want.Epoch || info.Sequence != want.Sequence {
		t.Errorf("got %+v, %v", info, err)
	}
}

func TestTimestampsAtTheirEnds(t *testing.T) {
	records := []Record{{Timestamp: math.MinInt64}, {Timestamp: math.MaxInt64}, {Timestamp: -1}}
	data := encode(t, Plain{}, NoProducer, records...)
	info, err := Validate(data, plain, 1000)
	if err != nil || info.MaxTimestamp != math.MaxInt64 || info.BaseTimestamp != math.MinInt64 {
		t.Errorf("got %+v, %v", info, err)
	}
	if got, err := Records(data, plain); err != nil || !sameRecords(got, records) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// mend makes the CRC of a changed batch right again.
func mend(data []byte) {
	order.PutUint32(data[atCRC:], checksum(data))
}

// sameRecords tells nil from empty in keys and values; a record without headers
// may have either.
func sameRecords(a, b []Record) bool {
	same := func(x, y []byte) bool { return bytes.Equal(x, y) && (x == nil) == (y == nil) }
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i].Key, b[i].Key) || !same(a[i].Value, b[i].Value) ||
			a[i].Timestamp != b[i].Timestamp || len(a[i].Headers) != len(b[i].Headers) {
			return false
		}
		for h := range a[i].Headers {
			if a[i].Headers[h].Key != b[i].Headers[h].Key || !same(a[i].Headers[h].Value, b[i].Headers[h].Value) {
				return false
			}
		}
	}
	return true
}
