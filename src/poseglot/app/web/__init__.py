"""The web page and its server: clips in, actions out, and how well each body part fits its text.

    limits      what a request may be, and how many there may be
    schemas     request and response bodies
    upload      an uploaded file -> a clip
    drawing     a clip -> what the page draws
    examples    clips to look at without having one
    service     a run behind the page: its scores, its scores over time, its texts
    worker      the threads that compute, and their queue
    bodies      the body of POST /predict -> joints
    middleware  host, token, rate, size and headers of every request
    metrics     counters in Prometheus's form
    server      the application
    connection  deadlines of connections, and how many there may be
    running     the start and end of the server
    static/     the page: plain JavaScript modules without a build, and three.js

Needs the extra `web` (FastAPI, uvicorn, python-multipart). Nothing is written, except for uploads while they are read.
"""
