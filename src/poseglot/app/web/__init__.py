"""The web page, and the server behind it: clips in, actions out, and how close each part came to its words.

    limits     what a request may be, and how many there may be
    bodies     what goes in and comes out, as a schema
    upload     a file from a request becomes a clip
    drawing    a clip becomes what the page draws
    served     a run as the page shows it: its answers, its answers over time, its words
    worker     the threads that compute, and what happens when there is too much to compute
    guard      everything that stands before the application: sizes, rates, tokens, headers, numbers
    server     the application, and its start and end
    static/    the page: plain modules of JavaScript, no build, three.js beside them

Needs the extra `web` (FastAPI, uvicorn, python-multipart). Nothing here writes, but for a file of an upload that is gone when it is read.
"""
