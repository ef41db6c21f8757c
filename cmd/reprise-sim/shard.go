package main

import (
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// shard is one part of a range of seeds that several machines share: the seeds at
// places index, index+of, index+2*of... of the range. The zero shard is all.
type shard struct{ index, of uint64 }

// maxShards bounds into how many parts a range can be cut.
const maxShards = 1 << 20

// parseShard reads I/N, from 0/N to N-1/N, which is how an indexed job of
// Kubernetes counts.
func parseShard(text string) (shard, error) {
	if text == "" {
		return shard{}, nil
	}
	a, b, ok := strings.Cut(text, "/")
	index, errA := strconv.ParseUint(a, 10, 64)
	of, errB := strconv.ParseUint(b, 10, 64)
	if !ok || errA != nil || errB != nil || of < 1 || of > maxShards || index >= of {
		return shard{}, cli.Usagef("--shard %q: it has the form I/N, where I is from 0 to N-1", text)
	}
	return shard{index, of}, nil
}

// seeds gives those of a range that belong to the shard, as the first of them and
// how many there are; they lie step apart.
func (s shard) seeds(first, last uint64) (from, count, step uint64) {
	step = max(s.of, 1)
	if span := last - first; s.index <= span {
		count = (span-s.index)/step + 1
	}
	return first + s.index, count, step
}
