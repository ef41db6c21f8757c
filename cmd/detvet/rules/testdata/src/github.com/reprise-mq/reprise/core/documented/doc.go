// Package documented has its comment in another file.
package documented
