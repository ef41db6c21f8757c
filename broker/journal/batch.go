package journal

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/reprise-mq/reprise/broker/codec"
)

// Batch is what one write put into the journal.
type Batch struct {
	Header
	// Updates in the order they were appended; then, without effect, those that
	// make again the images which the journal moves out of its oldest files.
	Updates []Update
}

// Header is what the journal needs to know of a batch to judge it.
type Header struct {
	// Number counts batches from 1.
	Number uint64
	// Salt names the run of the journal, from one opening to the next, that wrote
	// the batch. A newer run's is greater.
	Salt uint64
	// Start is the number of the run's first batch. It voids every batch of an
	// older run from this number on.
	Start uint64
	// Synced is the last batch known to be synced when this one was written.
	Synced uint64
	// Oldest is the first batch that still matters once this one is synced.
	Oldest uint64
	// Size of the file at least, in bytes, once this one is synced.
	Size uint64
}

const (
	// sector is what a disk writes whole or not at all.
	sector = 512
	// chunk is what a sector carries beside its tag.
	chunk = sector - 1

	tagHead    = 'J' // of a batch's first sector
	tagRest    = 'j' // of its others; never-written sectors are zero
	tagWitness = 'W' // of a sector that says of a batch in another file that it was synced

	magic = "rpj2"

	// headerBytes stand before the records of a batch, checkedFrom says where
	// what the CRC covers begins.
	headerBytes = 4 + 4 + 7*8
	checkedFrom = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sectors is the space that a batch of n bytes, header and records, takes up.
func sectors(n int) int64 { return int64(n+chunk-1) / chunk * sector }

// seal completes the batch in plain, whose first headerBytes are free for the
// header, and spreads it over tagged sectors, which it appends to out.
func seal(out, plain []byte, h Header) []byte {
	b := append(plain[:0], magic...)
	b = append(b, 0, 0, 0, 0)
	for _, v := range [...]uint64{uint64(len(plain) - headerBytes), h.Number, h.Salt, h.Start, h.Synced, h.Oldest, h.Size} {
		b = codec.AppendFixed(b, v)
	}
	binary.LittleEndian.PutUint32(plain[4:], crc32.Checksum(plain[checkedFrom:], castagnoli))
	tag := byte(tagHead)
	for len(plain) > 0 {
		n := min(len(plain), chunk)
		out = append(out, tag)
		out = append(out, plain[:n]...)
		out = append(out, zeros[:chunk-n]...)
		plain, tag = plain[n:], tagRest
	}
	return out
}

var zeros [chunk]byte

// examine reads the header of the batch at the start of data, and how many bytes
// of sectors the batch takes. Size 0: no batch begins here, or not a whole one;
// then the header is what the first sector says, if it says anything.
func examine(data []byte) (h Header, size int64) {
	if len(data) < sector || data[0] != tagHead || string(data[1:1+len(magic)]) != magic {
		return Header{}, 0
	}
	r := codec.NewReader(data[1+checkedFrom : 1+headerBytes])
	records := r.Fixed()
	h = Header{
		Number: r.Fixed(), Salt: r.Fixed(), Start: r.Fixed(), Synced: r.Fixed(), Oldest: r.Fixed(), Size: r.Fixed(),
	}
	if records > uint64(len(data)) || sectors(headerBytes+int(records)) > int64(len(data)) {
		return h, 0
	}
	want := binary.LittleEndian.Uint32(data[1+4:])
	if h.Number == 0 || checksum(data, headerBytes+int(records)) != want {
		return h, 0
	}
	return h, sectors(headerBytes + int(records))
}

// witness is a sector that says of a batch that it was synced.
func witness(h Header) []byte {
	h.Synced = h.Number
	out := seal(nil, blank(nil), h)
	out[0] = tagWitness
	return out
}

// decodeWitness reads the witness at the start of data, if there is a whole one.
func decodeWitness(data []byte) (Header, bool) {
	if len(data) < sector || data[0] != tagWitness {
		return Header{}, false
	}
	data = slices.Clone(data[:sector])
	data[0] = tagHead
	h, size := examine(data)
	return h, size > 0
}

// otherVersion reports whether a batch begins at the start of data that another version
// of the format wrote.
func otherVersion(data []byte) bool {
	const name = len(magic) - 1
	return len(data) >= sector && data[0] == tagHead && string(data[1:1+name]) == magic[:name] && data[1+name] != magic[name]
}

// checksum is the CRC of a batch of n bytes that stands in sectors; a tag out of
// place gives a wrong one.
func checksum(data []byte, n int) uint32 {
	sum := crc32.Update(0, castagnoli, data[1+checkedFrom:1+min(n, chunk)])
	for n -= chunk; n > 0; n -= chunk {
		data = data[sector:]
		if data[0] != tagRest {
			return ^sum
		}
		sum = crc32.Update(sum, castagnoli, data[1:1+min(n, chunk)])
	}
	return sum
}

// DecodeBatch reads the batch at the start of data, and gives what stands behind
// its last sector. The error is codec.ErrMalformed: what is there is not a whole
// batch.
func DecodeBatch(data []byte) (Batch, []byte, error) {
	h, size := examine(data)
	if size == 0 {
		return Batch{}, data, codec.ErrMalformed
	}
	plain := make([]byte, 0, size/sector*chunk)
	for at := int64(0); at < size; at += sector {
		plain = append(plain, data[at+1:at+sector]...)
	}
	records := binary.LittleEndian.Uint64(plain[checkedFrom:])
	r := codec.NewReader(plain[headerBytes : headerBytes+records])
	b := Batch{Header: h}
	for r.Len() > 0 {
		u, ok := decodeUpdate(r)
		if !ok {
			return Batch{}, data, codec.ErrMalformed
		}
		b.Updates = append(b.Updates, u)
	}
	if r.Err() != nil {
		return Batch{}, data, r.Err()
	}
	return b, data[size:], nil
}
