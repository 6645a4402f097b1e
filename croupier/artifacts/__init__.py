"""The packed file (`format`; docs/artifacts.md tells every section), and what makes one of a trained model.

`packers/` is the only home of training libraries, `packers/checks` compares each with its library, and
`apart` runs what may crash in a process that is thrown away. Who serves a model imports `format` and what
stands beside it alone:

    engines      what artifacts call their engines, and what holds for the native ones
    datatypes    of tensors
    batching, rowwise, checked      sections that say how requests are batched, that rows are independent, and
                 the `comparison` with the library; `repack` adds one
    tables       rows and answers, between processes
"""
