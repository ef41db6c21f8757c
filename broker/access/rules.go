package access

import (
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// mask is a set of operations, a bit each.
type mask uint16

const (
	lastOperation = api.Acl_ALTER_CONFIGS
	everything    = ^mask(0)
)

func bits(list ...api.Acl_Operation) (m mask) {
	for _, o := range list {
		m |= 1 << o
	}
	return m
}

// Index answers what a set of rules allows. It never changes, so it is for any number of
// goroutines.
type Index struct {
	of map[string]*held // by principal
}

// held is what one principal holds, by resource.
type held [api.Acl_CLUSTER + 1]patterns

// patterns are what is held on one kind of resource.
type patterns struct {
	literal, prefixed map[string]grant
	// lengths of the prefixes that there are, ascending.
	lengths []int
}

// grant is what one pattern allows and denies.
type grant struct{ allow, deny mask }

func (g *grant) add(o grant) { g.allow, g.deny = g.allow|o.allow, g.deny|o.deny }

// NewIndex indexes rules that Check lets through.
func NewIndex(rules []Rule) *Index {
	x := &Index{of: make(map[string]*held)}
	for _, r := range rules {
		h := x.of[r.Principal]
		if h == nil {
			h = &held{}
			x.of[r.Principal] = h
		}
		h[r.Resource].add(r)
	}
	return x
}

func (p *patterns) add(r Rule) {
	if p.literal == nil {
		p.literal, p.prefixed = make(map[string]grant), make(map[string]grant)
	}
	at := p.literal
	if r.Pattern == api.Acl_PREFIXED {
		at = p.prefixed
		if i, there := slices.BinarySearch(p.lengths, len(r.Name)); !there {
			p.lengths = slices.Insert(p.lengths, i, len(r.Name))
		}
	}
	g := at[r.Name]
	g.add(grantOf(r))
	at[r.Name] = g
}

// grantOf is what one rule says. Who is allowed to read, write, delete or alter is allowed
// to describe; who is denied that is denied nothing else.
func grantOf(r Rule) grant {
	m := bits(r.Operation)
	if r.Operation == api.Acl_ALL_OPERATIONS {
		m = everything
	}
	if r.Permission == api.Acl_DENY {
		return grant{deny: m}
	}
	if m&bits(api.Acl_READ, api.Acl_WRITE, api.Acl_DELETE, api.Acl_ALTER) != 0 {
		m |= bits(api.Acl_DESCRIBE)
	}
	return grant{allow: m}
}

// Allows reports whether a principal may do what is needed.
func (x *Index) Allows(principal string, n Need) bool {
	if n.Some {
		return x.allowsSome(principal, n)
	}
	if n.Name == "" {
		return false
	}
	g := x.find(principal, n.Resource, n.Name)
	g.add(x.find(Everyone, n.Resource, n.Name))
	return g.permits(n.Operation)
}

func (g grant) permits(o api.Acl_Operation) bool { return g.allow&^g.deny&bits(o) != 0 }

// find gathers what a principal holds on a resource.
func (x *Index) find(principal string, resource api.Acl_Resource, name string) grant {
	h := x.of[principal]
	if h == nil {
		return grant{}
	}
	p := &h[resource]
	g := p.literal[name]
	g.add(p.literal[Any])
	for _, n := range p.lengths {
		if n > len(name) {
			break
		}
		g.add(p.prefixed[name[:n]])
	}
	return g
}

// allowsSome reports whether there may be a resource on which a principal may do it: some
// pattern allows it, and none that fits all that the pattern fits denies it.
func (x *Index) allowsSome(principal string, n Need) bool {
	for _, holder := range []string{principal, Everyone} {
		h := x.of[holder]
		if h == nil {
			continue
		}
		p := &h[n.Resource]
		for _, name := range slices.Sorted(maps.Keys(p.literal)) {
			if p.literal[name].allow&bits(n.Operation) != 0 && !x.deniedAll(principal, n, name, api.Acl_LITERAL) {
				return true
			}
		}
		for _, name := range slices.Sorted(maps.Keys(p.prefixed)) {
			if p.prefixed[name].allow&bits(n.Operation) != 0 && !x.deniedAll(principal, n, name, api.Acl_PREFIXED) {
				return true
			}
		}
	}
	return false
}

// deniedAll reports whether everything that a pattern fits is denied: a literal name, all
// names, or all that begin so.
func (x *Index) deniedAll(principal string, n Need, name string, pattern api.Acl_Pattern) bool {
	literal := pattern == api.Acl_LITERAL
	denied := false
	for _, holder := range []string{principal, Everyone} {
		h := x.of[holder]
		if h == nil {
			continue
		}
		p, m := &h[n.Resource], bits(n.Operation)
		denied = denied || p.literal[Any].deny&m != 0 || literal && p.literal[name].deny&m != 0
		for _, length := range p.lengths {
			if all := literal && name == Any; !all && length <= len(name) {
				denied = denied || p.prefixed[name[:length]].deny&m != 0
			}
		}
	}
	return denied
}
