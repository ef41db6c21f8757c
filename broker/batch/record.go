package batch

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/reprise-mq/reprise/broker/api"
)

// Record is one message.
type Record struct {
	// Key and Value may be nil, which is not the same as empty.
	Key, Value []byte
	Headers    []Header
	Timestamp  api.Milliseconds
}

// Header is a named value that travels with a record.
type Header struct {
	Key string
	// Value may be nil, which is not the same as empty.
	Value []byte
}

// minRecordSize is the size of a record with nothing in it: seven numbers of one
// byte.
const minRecordSize = 7

// Encode gives the batch of the records, in their order, with base offset 0. At
// least one record is needed. The only error is ErrTooLarge.
func Encode(records []Record, producer Producer, codec Codec) ([]byte, error) {
	if len(records) == 0 {
		panic("batch: no records to encode")
	}
	base := records[0].Timestamp
	size := headerSize
	for i := range records {
		// Checked as it grows, so that the sum cannot overflow.
		n := records[i].bodySize(base, i)
		if size += varintSize(int64(n)) + n; size > MaxBytes {
			return nil, ErrTooLarge
		}
	}
	data := make([]byte, headerSize, size)
	most := base
	for i := range records {
		data = records[i].append(data, base, i)
		most = max(most, records[i].Timestamp)
	}
	if codec.ID() != None {
		plain := data
		data = codec.Compress(make([]byte, headerSize, headerSize+len(plain)/2), plain[headerSize:])
		if len(data) > MaxBytes {
			return nil, ErrTooLarge
		}
	}
	order.PutUint64(data[atBaseTimestamp:], uint64(base))
	order.PutUint64(data[atMaxTimestamp:], uint64(most))
	writeHeader(data, len(records), producer, codec.ID())
	return data, nil
}

// Validate checks everything about exactly one batch: what Parse checks, and that
// each record is where and what the header says. Neither the batch nor its
// decompressed records may be longer than maxBytes.
func Validate(data []byte, codecs Codecs, maxBytes int) (Info, error) {
	if len(data) > maxBytes {
		return Info{}, ErrTooLarge
	}
	info, err := Parse(data)
	if err != nil {
		return Info{}, err
	}
	plain, err := codecs.decompress(info.Compression, data[headerSize:], min(maxBytes, MaxBytes))
	if err != nil {
		return Info{}, err
	}
	c := cursor{rest: plain}
	most := api.Milliseconds(math.MinInt64)
	for i := range info.Count {
		r := c.record(i)
		for range r.headers {
			r.tail.header()
		}
		if !c.close(r.tail) {
			return Info{}, corrupt("malformed record")
		}
		most = max(most, info.BaseTimestamp+r.delta)
	}
	switch {
	case len(c.rest) > 0:
		return Info{}, corrupt("bytes after the last record")
	case most != info.MaxTimestamp:
		return Info{}, corrupt("max timestamp is not the greatest")
	}
	return info, nil
}

// Records gives the records of exactly one batch. Record i has the offset
// Info.BaseOffset + i. Keys and values alias data unless it is compressed.
func Records(data []byte, codecs Codecs) ([]Record, error) {
	info, err := Parse(data)
	if err != nil {
		return nil, err
	}
	plain, err := codecs.decompress(info.Compression, data[headerSize:], MaxBytes)
	if err != nil {
		return nil, err
	}
	if int(info.Count) > len(plain)/minRecordSize {
		return nil, corrupt("more records than bytes can hold")
	}
	c := cursor{rest: plain}
	records := make([]Record, info.Count)
	for i := range records {
		r := c.record(int32(i))
		records[i] = Record{Key: r.key, Value: r.value, Timestamp: info.BaseTimestamp + r.delta}
		if r.headers > 0 {
			records[i].Headers = make([]Header, r.headers)
		}
		for h := range records[i].Headers {
			key, value := r.tail.header()
			records[i].Headers[h] = Header{Key: string(key), Value: value}
		}
		if !c.close(r.tail) {
			return nil, corrupt("malformed record")
		}
	}
	if len(c.rest) > 0 {
		return nil, corrupt("bytes after the last record")
	}
	return records, nil
}

// writeHeader fills what remains of the header once the timestamps and records
// are in place.
func writeHeader(data []byte, count int, producer Producer, compression Compression) {
	id, epoch, sequence := int64(producer.ID), producer.Epoch, producer.Sequence
	if producer == NoProducer {
		id, epoch, sequence = -1, -1, -1
	}
	order.PutUint32(data[atLength:], uint32(len(data)-atLeaderEpoch))
	order.PutUint32(data[atLeaderEpoch:], math.MaxUint32)
	data[atMagic] = magic
	order.PutUint16(data[atAttributes:], uint16(compression))
	order.PutUint32(data[atLastDelta:], uint32(count-1))
	order.PutUint64(data[atProducerID:], uint64(id))
	order.PutUint16(data[atProducerEpoch:], uint16(epoch))
	order.PutUint32(data[atSequence:], uint32(sequence))
	order.PutUint32(data[atCount:], uint32(count))
	order.PutUint32(data[atCRC:], checksum(data))
}

// bodySize is the length of a record after its length field.
func (r *Record) bodySize(base api.Milliseconds, i int) int {
	n := 1 + varintSize(int64(r.Timestamp-base)) + varintSize(int64(i))
	n += fieldSize(r.Key) + fieldSize(r.Value) + varintSize(int64(len(r.Headers)))
	for _, h := range r.Headers {
		n += varintSize(int64(len(h.Key))) + len(h.Key) + fieldSize(h.Value)
	}
	return n
}

func (r *Record) append(b []byte, base api.Milliseconds, i int) []byte {
	b = binary.AppendVarint(b, int64(r.bodySize(base, i)))
	b = append(b, 0)
	b = binary.AppendVarint(b, int64(r.Timestamp-base))
	b = binary.AppendVarint(b, int64(i))
	b = appendField(b, r.Key)
	b = appendField(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = append(binary.AppendVarint(b, int64(len(h.Key))), h.Key...)
		b = appendField(b, h.Value)
	}
	return b
}

func appendField(b, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(field))), field...)
}

func fieldSize(field []byte) int {
	if field == nil {
		return 1
	}
	return varintSize(int64(len(field))) + len(field)
}

// varintSize is the number of bytes that binary.AppendVarint appends.
func varintSize(v int64) int {
	zigzag := uint64(v<<1) ^ uint64(v>>63)
	return (bits.Len64(zigzag|1) + 6) / 7
}
