// The few calls of WebGL2 that the page needs, with errors that say what failed.

export function compileProgram(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [type, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(`shader: ${gl.getShaderInfoLog(shader)}`);
    }
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`shaders do not link: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}

/** Locations of a program's uniforms by name. */
export function uniformsOf(gl, program) {
  const found = {};
  const count = gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS) || 0;
  for (let n = 0; n < count; n += 1) {
    const { name } = gl.getActiveUniform(program, n);
    found[name] = gl.getUniformLocation(program, name);
  }
  return found;
}

/** 3D texture of half floats; `filter` is gl.LINEAR or gl.NEAREST. */
export function halfTexture(gl, { shape, halves }, filter) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_3D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.R16F, ...shape, 0, gl.RED, gl.HALF_FLOAT, halves);
  setSampling(gl, gl.TEXTURE_3D, filter);
  return texture;
}

/** Texture of 256 colours, red green blue bytes. */
export function colorTexture(gl, bytes) {
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB8, 256, 1, 0, gl.RGB, gl.UNSIGNED_BYTE, bytes);
  setSampling(gl, gl.TEXTURE_2D, gl.LINEAR);
  return texture;
}

function setSampling(gl, target, filter) {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, filter);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, filter);
  for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) {
    gl.texParameteri(target, wrap, gl.CLAMP_TO_EDGE);
  }
}
