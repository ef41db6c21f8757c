package checker

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/anishathalye/porcupine"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/histories"
)

// Bounds of a picture: more than this nobody can read, and porcupine's search of
// it is exponential.
const (
	mostPicturedOffsets = 100
	mostPicturedReads   = 200
	pictureSteps        = 1_000_000
)

// Visualize writes porcupine's picture of a partition as an HTML page, with the
// faults and the changes of leader as lanes beside the clients'. Of a long history
// it shows the part around the first anomaly that the report has of the partition,
// or the beginning. Times are event indexes.
func Visualize(w io.Writer, h *histories.History, key Key, r *Report) error {
	run, err := prepare(h, nil, Options{})
	if err != nil {
		return err
	}
	at := slices.IndexFunc(run.partitions, func(p *partition) bool { return p.key == key })
	if at < 0 {
		return fmt.Errorf("the history has no operation on %v", key)
	}
	p := run.partitions[at]
	v := newView(p, r)
	list := v.operations(histories.Index(len(h.Events)))
	left := pictureSteps
	_, info := porcupine.CheckOperationsVerbose(model(v.low, noneFree, &left), list, 0)
	info.AddAnnotations(v.annotations(h, list))
	// The page replays the orders that were found, without a bound.
	unbounded := math.MaxInt
	return porcupine.Visualize(model(v.low, noneFree, &unbounded), info, w)
}

func noneFree(api.Offset) bool { return false }

// view is the part of a partition that is drawn: the batches that stand between
// two offsets, and the reads that happened meanwhile.
type view struct {
	p         *partition
	bounds    []bound
	low, high api.Offset
	// witness are operations that are drawn in any case.
	witness map[histories.Index]bool
}

func newView(p *partition, r *Report) *view {
	p.readContents()
	p.placeSends()
	v := &view{p: p, bounds: p.readBounds(), witness: make(map[histories.Index]bool)}
	p.measure(v.bounds)
	p.fillHoles(v.bounds)
	center := api.Offset(0)
	for i := range r.Anomalies {
		if a := &r.Anomalies[i]; (Key{a.Topic, a.Partition}) == p.key {
			for _, w := range a.Witness {
				v.witness[w] = true
			}
			center = v.center(a)
			break
		}
	}
	v.low = max(center-mostPicturedOffsets/2, 0)
	if v.low > 0 {
		v.low, _, _ = p.batchAt(v.low)
	}
	v.high = v.low + mostPicturedOffsets
	return v
}

// center is an offset that an anomaly is about.
func (v *view) center(a *Anomaly) api.Offset {
	if a.Offset >= 0 {
		return a.Offset
	}
	for i := range v.bounds {
		if b := &v.bounds[i]; v.witness[b.Invoked] {
			if b.most != noMost {
				return b.most
			}
			return b.least
		}
	}
	return 0
}

// operations gives what is drawn, each with its own interval; what was never
// answered lasts until the end.
func (v *view) operations(end histories.Index) []porcupine.Operation {
	var list []porcupine.Operation
	first, last := end, histories.Index(0)
	add := func(m *move, deadline histories.Index) {
		list = append(list, operation(m, min(deadline, end)))
	}
	for i := range v.p.sends {
		s := &v.p.sends[i]
		if s.base == histories.NoOffset || s.base < v.low || s.base >= v.high {
			continue
		}
		add(&move{Operation: s.Operation, size: api.Offset(s.size()), base: s.base}, s.deadline())
		first = min(first, s.Invoked)
		last = max(last, min(s.deadline(), s.Completed))
	}
	reads := 0
	for i := range v.bounds {
		b := &v.bounds[i]
		meanwhile := b.Completed >= first && b.Invoked <= last && b.least <= v.high && b.most >= v.low
		if v.witness[b.Invoked] || meanwhile && reads < mostPicturedReads {
			reads++
			add(&move{Operation: b.Operation, base: histories.NoOffset, least: b.least, most: b.most}, b.Deadline())
		}
	}
	slices.SortFunc(list, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	v.lanes(list)
	return list
}

// lanes numbers the processes that are drawn from 0: porcupine draws a lane for
// every number up to the highest.
func (v *view) lanes(list []porcupine.Operation) {
	var processes []int
	for i := range list {
		processes = append(processes, list[i].ClientId)
	}
	slices.Sort(processes)
	processes = slices.Compact(processes)
	for i := range list {
		list[i].ClientId, _ = slices.BinarySearch(processes, list[i].ClientId)
	}
}

// annotations gives the lanes of faults and of leaders, as far as they fall into
// the time that is drawn.
func (v *view) annotations(h *histories.History, list []porcupine.Operation) []porcupine.Annotation {
	from, to := int64(math.MaxInt64), int64(0)
	for i := range list {
		from, to = min(from, list[i].Call), max(to, list[i].Return)
	}
	var all []porcupine.Annotation
	// open[f] is the position of a fault that has begun.
	open := make(map[string]int)
	for _, e := range h.Notes() {
		n, at := e.Note, int64(e.Index)
		a := porcupine.Annotation{Start: at, End: at, Description: note(n), Details: line(&e)}
		name := n.Name + " " + n.Target
		switch {
		case n.Op == histories.Leader:
			if n.Topic != "" && (Key{n.Topic, n.Partition}) != v.p.key {
				continue
			}
			a.Tag, a.BackgroundColor = "leaders", "#cfe8cf"
		case n.Op == histories.Retention:
			continue
		case n.Group != "":
			if (Key{n.Topic, n.Partition}) != v.p.key {
				continue
			}
			a.Tag, a.BackgroundColor = "owners", "#cfe2f3"
		case n.Phase == histories.End:
			if begun, ok := open[name]; ok {
				all[begun].End = at
				delete(open, name)
			}
			continue
		default:
			a.Tag, a.BackgroundColor, a.Description = "faults", "#f4cccc", name
			if n.Phase == histories.Begin {
				a.End = int64(len(h.Events))
				open[name] = len(all)
			}
		}
		all = append(all, a)
	}
	return slices.DeleteFunc(all, func(a porcupine.Annotation) bool { return a.End < from || a.Start > to })
}
