// Package new stands for the library.
package new
