package batch

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/reprise-mq/reprise/broker/api"
)

// all accepts the compressions of this package.
func all() Codecs { return NewCodecs(NewGzip()) }

func drawField(t *rapid.T, label string) []byte {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, label)
}

func drawRecords(t *rapid.T) []Record {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Record {
		r := Record{
			Key:       drawField(t, "key"),
			Value:     drawField(t, "value"),
			Timestamp: api.Milliseconds(rapid.Int64().Draw(t, "timestamp")),
		}
		for range rapid.IntRange(0, 3).Draw(t, "headers") {
			r.Headers = append(r.Headers, Header{rapid.String().Draw(t, "name"), drawField(t, "header")})
		}
		return r
	}), 1, 100).Draw(t, "records")
}

func drawProducer(t *rapid.T) Producer {
	if rapid.Bool().Draw(t, "no producer") {
		return NoProducer
	}
	return Producer{
		ID:       api.ProducerID(rapid.Int64Min(1).Draw(t, "id")),
		Epoch:    api.Epoch(rapid.Int16Min(0).Draw(t, "epoch")),
		Sequence: api.Sequence(rapid.Int32Min(0).Draw(t, "sequence")),
	}
}

func TestRoundTrip(t *testing.T) {
	codecs := all()
	rapid.Check(t, func(t *rapid.T) {
		records, producer := drawRecords(t), drawProducer(t)
		codec := rapid.SampledFrom([]Codec{Plain{}, codecs.byID[Gzip]}).Draw(t, "codec")
		data, err := Encode(records, producer, codec)
		if err != nil {
			t.Fatal(err)
		}
		offset := api.Offset(rapid.Int64Range(0, 1<<62).Draw(t, "offset"))
		SetBaseOffset(data, offset)
		info, err := Validate(data, codecs, MaxBytes)
		if err != nil {
			t.Fatalf("Validate: %v", err)
		}
		got := Producer{info.Producer, info.Epoch, info.Sequence}
		if got != producer || info.BaseOffset != offset || int(info.Count) != len(records) ||
			info.Compression != codec.ID() || info.Length != len(data) {
			t.Fatalf("header: %+v", info)
		}
		if got, err := Records(data, codecs); err != nil || !sameRecords(got, records) {
			t.Fatalf("records: %+v, %v", got, err)
		}
	})
}

// TestAgainstSlowEncoder compares with an encoder that follows the drawing in the
// package doc and nothing else.
func TestAgainstSlowEncoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records, producer := drawRecords(t), drawProducer(t)
		data, err := Encode(records, producer, Plain{})
		if err != nil {
			t.Fatal(err)
		}
		if want := slowEncode(records, producer); !bytes.Equal(data, want) {
			t.Fatalf("got\n%x, want\n%x", data, want)
		}
	})
}

// slowEncode builds a batch byte by byte.
func slowEncode(records []Record, producer Producer) []byte {
	fixed := func(b []byte, size int, v int64) []byte {
		for shift := (size - 1) * 8; shift >= 0; shift -= 8 {
			b = append(b, byte(v>>shift))
		}
		return b
	}
	varint := func(b []byte, v int64) []byte {
		u := uint64(v) << 1
		if v < 0 {
			u = ^u
		}
		for ; u >= 0x80; u >>= 7 {
			b = append(b, byte(u%0x80)+0x80)
		}
		return append(b, byte(u))
	}
	field := func(b, field []byte) []byte {
		if field == nil {
			return varint(b, -1)
		}
		return append(varint(b, int64(len(field))), field...)
	}
	var all []byte
	most := records[0].Timestamp
	for i, r := range records {
		most = max(most, r.Timestamp)
		body := varint([]byte{0}, int64(r.Timestamp-records[0].Timestamp))
		body = field(field(varint(body, int64(i)), r.Key), r.Value)
		body = varint(body, int64(len(r.Headers)))
		for _, h := range r.Headers {
			body = field(field(body, []byte(h.Key)), h.Value)
		}
		all = append(varint(all, int64(len(body))), body...)
	}
	id, epoch, sequence := int64(producer.ID), int64(producer.Epoch), int64(producer.Sequence)
	if id == 0 {
		id, epoch, sequence = -1, -1, -1
	}
	rest := fixed(nil, 2, 0)
	rest = fixed(rest, 4, int64(len(records)-1))
	rest = fixed(fixed(rest, 8, int64(records[0].Timestamp)), 8, int64(most))
	rest = fixed(fixed(fixed(rest, 8, id), 2, epoch), 4, sequence)
	rest = append(fixed(rest, 4, int64(len(records))), all...)
	data := fixed(fixed(fixed(fixed(nil, 8, 0), 4, int64(len(rest)+9)), 4, -1), 1, 2)
	return append(fixed(data, 4, int64(slowCRC(rest))), rest...)
}

// slowCRC is CRC-32C, one bit at a time.
func slowCRC(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v)
		for range 8 {
			low := crc & 1
			crc >>= 1
			if low == 1 {
				crc ^= 0x82f63b78
			}
		}
	}
	return ^crc
}

// FuzzBatch: no bytes make a decoder panic or allocate out of proportion; what
// Validate accepts, Records gives, and encoded again it is the same records.
func FuzzBatch(f *testing.F) {
	for _, c := range captured {
		data := encode(f, Plain{}, NoProducer, c.records...)
		f.Add(data, true)
		f.Add(encode(f, NewGzip(), Producer{1, 2, 3}, c.records...), true)
		f.Add(append(data, data...), false)
	}
	codecs := all()
	f.Fuzz(func(t *testing.T, data []byte, mended bool) {
		// The mutator cannot guess a CRC; without it nothing behind would be reached.
		if mended && len(data) >= headerSize {
			order.PutUint32(data[atLength:], uint32(len(data)-atLeaderEpoch))
			data[atMagic] = magic
			mend(data)
		}
		for rest := data; len(rest) > 0; {
			first, after, err := Next(rest)
			if err != nil {
				break
			}
			if len(first)+len(after) != len(rest) {
				t.Fatalf("Next split %d bytes into %d and %d", len(rest), len(first), len(after))
			}
			rest = after
		}
		const limit = 1 << 20
		info, invalid := Validate(data, codecs, limit)
		before := allocated()
		records, err := Records(data, codecs)
		// A record of 7 bytes becomes one of 80; gzip expands a thousandfold.
		if spent := allocated() - before; spent > uint64(len(data))*1100*20+1<<17 {
			t.Fatalf("%d bytes made Records allocate %d", len(data), spent)
		}
		if invalid != nil {
			return
		}
		if err != nil || len(records) != int(info.Count) {
			t.Fatalf("valid as %+v, but Records gives %d, %v", info, len(records), err)
		}
		again, err := Encode(records, Producer{info.Producer, info.Epoch, info.Sequence}, Plain{})
		if err != nil {
			t.Fatal(err)
		}
		same, err := Records(again, codecs)
		if err != nil || !sameRecords(same, records) {
			t.Fatalf("after a round trip %+v, %v; want %+v", same, err, records)
		}
	})
}

func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestGzipBomb: what would decompress to far more than the limit is refused
// before it is built.
func TestGzipBomb(t *testing.T) {
	codec := NewGzip()
	bomb := encode(t, codec, NoProducer, Record{Value: make([]byte, 16<<20)})
	const limit = 64 << 10
	before := allocated()
	_, err := Validate(bomb, NewCodecs(codec), limit)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("a batch of %d bytes: %v", len(bomb), err)
	}
	if spent := allocated() - before; spent > 10*limit {
		t.Errorf("refusing it allocated %d bytes", spent)
	}
}

func TestGzipDamaged(t *testing.T) {
	codec := NewGzip()
	packed := codec.Compress(nil, []byte("some text, some text, some text"))
	for n := range packed {
		if _, err := codec.Decompress(packed[:n], 1000); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	if got, err := codec.Decompress(packed, 31); err != nil || len(got) != 31 {
		t.Errorf("after damaged ones: %q, %v", got, err)
	}
	if _, err := codec.Decompress(packed, 30); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte over the limit: %v", err)
	}
}

func BenchmarkEncode(b *testing.B) {
	records := benchRecords()
	b.SetBytes(int64(len(records) * 1024))
	for b.Loop() {
		if _, err := Encode(records, Producer{1, 0, 0}, Plain{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	data := encode(b, Plain{}, Producer{1, 0, 0}, benchRecords()...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Validate(data, plain, MaxBytes); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	data := encode(b, Plain{}, Producer{1, 0, 0}, benchRecords()...)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Records(data, plain); err != nil {
			b.Fatal(err)
		}
	}
}

// benchRecords is a batch of the standard benchmark: 16 records of 1 KiB.
func benchRecords() []Record {
	records := make([]Record, 16)
	for i := range records {
		records[i] = Record{Value: make([]byte, 1024), Timestamp: api.Milliseconds(1503229838908 + i)}
	}
	return records
}

// TestValidateAllocatesNothing holds the hot path of a produce to its price.
func TestValidateAllocatesNothing(t *testing.T) {
	data := encode(t, Plain{}, NoProducer, benchRecords()...)
	if n := testing.AllocsPerRun(100, func() { _, _ = Validate(data, plain, MaxBytes) }); n > 0 {
		t.Errorf("Validate allocates %v times", n)
	}
	records := benchRecords()
	if n := testing.AllocsPerRun(100, func() { _, _ = Encode(records, NoProducer, Plain{}) }); n > 1 {
		t.Errorf("Encode allocates %v times", n)
	}
}
